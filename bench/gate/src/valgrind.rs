//! Runs this program again, under valgrind.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs, process, thread};

use crate::probe::{COUNTED, ROW_ENDS};
use crate::profile::{Profile, Split};
use crate::rows::{ROWS, Row};
use crate::setting::features;

/// What a run under valgrind told.
pub(crate) struct Counts {
    /// Features of the processor, as valgrind shows them to programs.
    pub(crate) features: String,
    /// Each row, in the order of the table, with the instructions of one operation.
    pub(crate) rows: Vec<(&'static str, Split)>,
}

/// The version of the valgrind that is installed, if one is.
pub(crate) fn version() -> Option<String> {
    let output = Command::new("valgrind").arg("--version").output().ok()?;
    let version = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| version.trim().to_owned())
}

/// Counts all rows, half of them on each of two threads.
///
/// # Errors
/// In words, with the output of valgrind if that failed.
pub(crate) fn count() -> Result<Counts, String> {
    let scratch = Scratch::new()?;
    let jobs: Vec<(PathBuf, Vec<&Row>)> = (0..JOBS)
        .map(|job| (scratch.0.join(job.to_string()), ROWS.iter().skip(job).step_by(JOBS).collect()))
        .collect();
    let counts: Result<Vec<Counts>, String> = thread::scope(|scope| {
        let running: Vec<_> =
            jobs.iter().map(|(file, rows)| scope.spawn(|| count_some(file, rows))).collect();
        running
            .into_iter()
            .map(|job| job.join().map_err(|_| "a job panicked".to_owned())?)
            .collect()
    });
    let counts = counts?;
    let features = counts.first().map(|part| part.features.clone()).unwrap_or_default();
    let mut rows: Vec<_> = counts.into_iter().flat_map(|part| part.rows).collect();
    rows.sort_by_key(|(name, _)| ROWS.iter().position(|row| row.name == *name));
    Ok(Counts { features, rows })
}

/// Counts `rows` in one process whose profiles are `file.1`, `file.2` and so on, one per row.
fn count_some(file: &Path, rows: &[&'static Row]) -> Result<Counts, String> {
    let told = run_valgrind(file, rows)?;
    let mut lines = told.lines();
    let features = lines.next().unwrap_or_default().to_owned();
    let times: Vec<u64> = lines.filter_map(|line| line.parse().ok()).collect();
    if times.len() != rows.len() {
        return Err(format!("{} rows were asked for, {} came", rows.len(), times.len()));
    }
    let counted = rows.iter().zip(times).enumerate().map(|(at, (row, times))| {
        let split = read(&file.with_extension((at + 1).to_string()), row)?;
        Ok((row.name, split.per_operation(times)))
    });
    Ok(Counts { features, rows: counted.collect::<Result<_, String>>()? })
}

/// Has valgrind write the profiles of `rows`, and returns what the program told meanwhile.
fn run_valgrind(file: &Path, rows: &[&'static Row]) -> Result<String, String> {
    let program = env::current_exe().map_err(|error| format!("this program is gone: {error}"))?;
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(format!("--toggle-collect={COUNTED}*"))
        .arg(format!("--dump-before={ROW_ENDS}*"))
        .arg(program)
        .arg(RUN)
        .args(rows.iter().map(|row| row.name))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("valgrind cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(format!("valgrind ended with {}:\n{words}", output.status))
}

fn read(file: &Path, row: &Row) -> Result<Split, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let split = Profile::parse(&text).and_then(|profile| profile.split(row.left_out));
    split.map_err(|error| format!("{}: {error}", row.name))
}

/// Runs the rows of these names, under valgrind if all is well, and tells what [`count_some`] reads.
pub(crate) fn run(names: &[&str]) {
    println!("{}", features());
    for row in ROWS.iter().filter(|row| names.contains(&row.name)) {
        println!("{}", row.run());
    }
}

/// A directory of our own for profiles, removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, String> {
        let path = env::temp_dir().join(format!("handfast-gate-{}", process::id()));
        fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left in a directory for temporary files does no harm.
        fs::remove_dir_all(&self.0).ok();
    }
}

/// The argument that makes this program count rows instead of running valgrind.
pub(crate) const RUN: &str = "run-under-valgrind";

/// Processes at a time. Which rows share one does not change their counts.
const JOBS: usize = 2;
