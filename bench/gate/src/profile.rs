//! Reads what callgrind wrote, and splits it into our cost, that of functions left out, and libc's.
//!
//! The format is that of `callgrind.out` files: `ob=`, `fn=` name the function whose costs follow,
//! `cob=`, `cfn=`, `calls=` a function that it calls. `(3) name` gives a name the number 3, a later
//! `(3)` stands for it. A line of costs is a position and the instructions; the one after `calls=`
//! repeats the cost of the called function, which counts where that function stands.

use std::collections::HashMap;

use crate::probe::COUNTED;

/// Which function took how many instructions itself, and which others it called.
#[derive(Debug, Default)]
pub(crate) struct Profile {
    functions: Vec<Function>,
}

#[derive(Debug)]
struct Function {
    object: String,
    name: String,
    instructions: u64,
    callees: Vec<usize>,
}

/// Where the instructions of a row went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Split {
    /// What the gate is about.
    pub(crate) ours: u64,
    /// Functions left out, and what only they call.
    pub(crate) left_out: u64,
    /// Everything in other objects than our program: libc.
    pub(crate) system: u64,
}

impl Split {
    /// The cost of one of so many operations, rounded down.
    pub(crate) const fn per_operation(self, times: u64) -> Self {
        let Self { ours, left_out, system } = self;
        Self { ours: ours / times, left_out: left_out / times, system: system / times }
    }
}

impl Profile {
    /// Reads the text of a profile.
    ///
    /// # Errors
    /// Says what is missing, or which line makes no sense.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader::default();
        for (number, line) in text.lines().enumerate() {
            reader.line(line).ok_or_else(|| format!("line {} of a profile: {line}", number + 1))?;
        }
        let sum: u64 = reader.profile.functions.iter().map(|function| function.instructions).sum();
        if reader.summary != Some(sum) {
            return Err(format!("a profile says {:?} and adds up to {sum}", reader.summary));
        }
        Ok(reader.profile)
    }

    /// Splits the cost. Each of `left_out` is a part of the names of functions to leave out.
    ///
    /// What such a function calls is left out as well, unless ours call it too.
    ///
    /// # Errors
    /// If there is no function of some name: then the compiler has merged it with others.
    pub(crate) fn split(&self, left_out: &[&str]) -> Result<Split, String> {
        for name in left_out.iter().chain([&COUNTED]) {
            if !self.functions.iter().any(|function| function.name.contains(name)) {
                return Err(format!("no function of the profile has {name} in its name"));
            }
        }
        let reached = self.reached_without(left_out);
        let program = self.program();
        let mut split = Split { ours: 0, left_out: 0, system: 0 };
        for (function, reached) in self.functions.iter().zip(reached) {
            let part = match reached {
                _ if Some(&function.object) != program => &mut split.system,
                true => &mut split.ours,
                false => &mut split.left_out,
            };
            *part += function.instructions;
        }
        Ok(split)
    }

    /// For each function, whether a call of it is reached from the counted ones without passing
    /// through one that is left out.
    fn reached_without(&self, left_out: &[&str]) -> Vec<bool> {
        let mut reached = vec![false; self.functions.len()];
        let starts = self.functions.iter().enumerate();
        let mut next: Vec<usize> =
            starts.filter(|(_, f)| f.name.contains(COUNTED)).map(|(at, _)| at).collect();
        while let Some(at) = next.pop() {
            let function = &self.functions[at];
            let is_left_out = left_out.iter().any(|name| function.name.contains(name));
            if !is_left_out && !reached[at] {
                reached[at] = true;
                next.extend(&function.callees);
            }
        }
        reached
    }

    /// The object that holds the counted functions: our program.
    fn program(&self) -> Option<&String> {
        self.functions.iter().find(|f| f.name.contains(COUNTED)).map(|f| &f.object)
    }
}

/// The state of reading: what the last lines named.
#[derive(Default)]
struct Reader {
    profile: Profile,
    places: HashMap<(String, String), usize>,
    objects: HashMap<String, String>,
    names: HashMap<String, String>,
    object: String,
    called_object: Option<String>,
    caller: Option<usize>,
    callee: Option<usize>,
    /// The next line of costs is that of a call.
    after_call: bool,
    summary: Option<u64>,
}

impl Reader {
    /// Takes a line; `None` if it makes no sense.
    fn line(&mut self, line: &str) -> Option<()> {
        if line.starts_with(|c: char| c.is_ascii_digit() || "+-*".contains(c)) {
            return self.costs(line);
        }
        if let Some(total) = line.strip_prefix("summary:") {
            self.summary = Some(total.trim().parse().ok()?);
        }
        let Some((key, value)) = line.split_once('=') else { return Some(()) };
        match key {
            "ob" => self.object = expand(&mut self.objects, value)?,
            "cob" => self.called_object = Some(expand(&mut self.objects, value)?),
            "fn" => {
                let name = expand(&mut self.names, value)?;
                self.caller = Some(self.place(self.object.clone(), name));
            }
            "cfn" => {
                let name = expand(&mut self.names, value)?;
                let object = self.called_object.take().unwrap_or_else(|| self.object.clone());
                self.callee = Some(self.place(object, name));
            }
            "calls" => {
                let callee = self.callee.take()?;
                self.profile.functions[self.caller?].callees.push(callee);
                self.after_call = true;
            }
            // Files, which do not matter here, and comments.
            _ => {}
        }
        Some(())
    }

    fn costs(&mut self, line: &str) -> Option<()> {
        if std::mem::take(&mut self.after_call) {
            return Some(());
        }
        // Callgrind leaves out zeros at the end of a line.
        let cost: u64 = line.split_whitespace().nth(1).map_or(Some(0), |cost| cost.parse().ok())?;
        self.profile.functions[self.caller?].instructions += cost;
        Some(())
    }

    /// The index of a function, which is new when it was not named before.
    fn place(&mut self, object: String, name: String) -> usize {
        let functions = &mut self.profile.functions;
        *self.places.entry((object.clone(), name.clone())).or_insert_with(|| {
            functions.push(Function { object, name, instructions: 0, callees: Vec::new() });
            functions.len() - 1
        })
    }
}

/// The name that `(3) name` gives, or that an earlier line gave to `(3)`.
fn expand(names: &mut HashMap<String, String>, value: &str) -> Option<String> {
    let (number, name) = value.strip_prefix('(')?.split_once(')')?;
    if name.is_empty() {
        return names.get(number).cloned();
    }
    names.insert(number.to_owned(), name.trim_start().to_owned());
    names.get(number).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `counted` (10) calls `seal` (20), which calls the AEAD (300), which calls memcpy (4,000) and a
    /// helper (50,000) that `seal` calls too, and one (600,000) that only the AEAD calls.
    const PROFILE: &str = "\
version: 1
events: Ir
summary: 654330

ob=(1) /a/program
fl=(1) ???
fn=(1) handfast_gate::probe::counted::<closure>
0 10
cfn=(2) core::seal
calls=7 0
0 654320

fn=(2)
0 15
+3 5
cfn=(3) AeadKey::seal
calls=7 0
0 604300
cfn=(5) shared
calls=7 0
0 25000

fn=(3)
* 300
cob=(2) /lib/libc.so.6
cfn=(4) memcpy
calls=1 0
0 4000
cfn=(5)
calls=1 0
0 25000
cfn=(6) rounds
calls=1 0
0 600000

fn=(5)
0 50000
0

fn=(6)
0 600000

ob=(2)
fn=(4)
0 4000
";

    #[test]
    fn what_only_a_function_left_out_calls_is_left_out_with_it() {
        let profile = Profile::parse(PROFILE).expect("a profile");
        let split = profile.split(&["AeadKey"]).expect("all names are there");
        assert_eq!(split, Split { ours: 50_030, left_out: 600_300, system: 4_000 });
        let split = profile.split(&[]).expect("all names are there");
        assert_eq!(split, Split { ours: 650_330, left_out: 0, system: 4_000 });
    }

    #[test]
    fn a_function_to_leave_out_that_is_not_there_is_an_error() {
        let profile = Profile::parse(PROFILE).expect("a profile");
        let error = profile.split(&["AeadKey", "Cipher"]).expect_err("Cipher is not there");
        assert!(error.contains("Cipher"), "{error}");
    }

    #[test]
    fn a_profile_that_does_not_add_up_is_an_error() {
        let error = Profile::parse(&PROFILE.replace("+3 5", "+3 6")).expect_err("one too many");
        assert!(error.contains("adds up to 654331"), "{error}");
    }

    #[test]
    fn a_line_that_makes_no_sense_is_named() {
        let error = Profile::parse(&PROFILE.replace("+3 5", "+3 five")).expect_err("no number");
        assert_eq!(error, "line 15 of a profile: +3 five");
        let error = Profile::parse(&PROFILE.replace("fn=(2)\n", "fn=(9)\n")).expect_err("no name");
        assert!(error.contains("fn=(9)"), "{error}");
    }
}
