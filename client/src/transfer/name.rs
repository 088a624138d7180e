//! Which names of files are taken.

/// Says what is wrong with a name that comes from elsewhere: it must name a file in the directory that was
/// chosen, on every system, and nothing else.
pub(super) fn check(name: &str) -> Result<(), String> {
    let what = if name.is_empty() || name == "." || name == ".." {
        "is no name of a file"
    } else if name.len() > LONGEST {
        "is too long"
    } else if name.contains(['/', '\\']) {
        "has parts of a path"
    } else if name.contains(char::is_control) {
        "has control characters"
    } else if cfg!(windows) && is_special_on_windows(name) {
        "means something else on Windows"
    } else {
        return Ok(());
    };
    Err(format!("the name {name:?} {what}"))
}

/// Devices, streams of a file, and names of which Windows drops the end.
fn is_special_on_windows(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let is_numbered = |kind: &str| {
        stem.strip_prefix(kind).is_some_and(|rest| rest.chars().count() == 1 && rest != "0")
    };
    let is_device = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"].contains(&stem.as_str());
    is_device
        || is_numbered("COM")
        || is_numbered("LPT")
        || name.ends_with(['.', ' '])
        || name.contains(['<', '>', ':', '"', '|', '?', '*'])
}

/// In bytes, as long as most file systems take with the ending of a partial file.
const LONGEST: usize = 250;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_that_of_a_file_in_a_directory_and_of_nothing_else() {
        for good in ["a", "a b.tar.gz", ".hidden", "...", "ä", "-rf", "a.part"] {
            assert_eq!(check(good).is_ok(), !cfg!(windows) || good != "...", "{good}");
        }
        for bad in ["", ".", "..", "../a", "/a", "a/b", "..\\a", "C:\\a", "a\0", "a\nb", "\x1b[2J"]
        {
            let error = check(bad).expect_err(bad);
            assert!(!error.contains(char::is_control), "{error:?}");
        }
        assert!(check(&"x".repeat(250)).is_ok() && check(&"x".repeat(251)).is_err());
    }

    #[test]
    fn what_windows_takes_for_a_device_or_a_stream_is_known() {
        for special in ["con", "NUL.txt", "com1", "lpt9.x", "a:b", "a.", "a ", "a?"] {
            assert!(is_special_on_windows(special), "{special}");
        }
        for usual in ["a.txt", "console", "com", "com10", "null", ".a"] {
            assert!(!is_special_on_windows(usual), "{usual}");
        }
    }
}
