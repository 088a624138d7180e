//! What can be seen from the source alone.

use std::fs;
use std::path::Path;

fn core(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/src").join(file);
    fs::read_to_string(path).expect("a file of the core")
}

/// The code of a file without its tests.
fn code(file: &str) -> String {
    let text = core(file);
    let end = text.find("#[cfg(test)]\nmod tests").unwrap_or(text.len());
    text[..end].to_owned()
}

/// Where secrets, MACs and cookies are compared, only the one function that takes the same time for
/// every input does it.
#[test]
fn row_52_bibavpn_secrets_are_compared_by_a_constant_time_function_only() {
    assert!(code("crypto/hash.rs").contains("ct_eq"), "the function itself");
    for file in ["crypto/mac.rs", "crypto/cookie.rs"] {
        let code = code(file);
        assert!(code.contains("equal("), "{file} compares by `equal`");
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            let plain = line.contains(" == ") || line.contains(" != ");
            assert!(!plain, "{file}: {}", line.trim());
        }
    }
    for file in [
        "admission/answer.rs",
        "admission/authenticate.rs",
        "admission/half_open.rs",
        "admission/screen.rs",
        "endpoint/admit.rs",
        "endpoint/input.rs",
        "session/initiator.rs",
        "peer/handshake/establish.rs",
        "session/keys.rs",
        "crypto/noise.rs",
        "crypto/schedule.rs",
    ] {
        for line in code(file).lines() {
            let secret = ["mac ", "mac)", "cookie.mac", "tag ", "secret", "psk"];
            let named = secret.iter().any(|name| line.contains(name));
            let plain = line.contains(" == ") || line.contains(" != ");
            // Maps are asked for places only after the MAC was checked.
            let place = line.contains("by_mac.get");
            assert!(!named || !plain || place, "{file}: {}", line.trim());
        }
    }
}
