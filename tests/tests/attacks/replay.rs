//! The bodies of the fuzz targets on stable: committed seeds, then pseudo-random inputs.
//!
//! `HANDFAST_FUZZ_TIMES=100 HANDFAST_FUZZ_SEED=7` asks for a hundred times as many and for others.

use std::env;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use crate::fuzzing;

/// Runs a target on every file of its directory and on `random` inputs made from the seeds and
/// from nothing; returns how many files there were.
fn replay(target: &str, body: fn(&[u8]), random: usize) -> usize {
    let mut inputs = Vec::new();
    for entry in fs::read_dir(directory(target)).expect("seeds are committed") {
        let path = entry.expect("a readable directory").path();
        inputs.push(fs::read(&path).expect("a readable file"));
    }
    inputs.iter().for_each(|input| body(input));
    let (times, seed) = (number("HANDFAST_FUZZ_TIMES", 1), number("HANDFAST_FUZZ_SEED", 1));
    let (random, mut rng) = (random * times as usize, Rng(seed));
    for _ in 0..random {
        let input = mutated(&mut rng, &inputs);
        let failed = catch_unwind(|| body(&input)).is_err();
        assert!(!failed, "{target} fails on {input:?}");
    }
    println!("{target}: {} seeds and {random} pseudo-random inputs", inputs.len());
    inputs.len()
}

#[test]
fn packets_of_the_corpus_and_at_random_hold_the_properties() {
    assert!(replay("packet", fuzzing::packet, 20_000) >= 10);
}

#[test]
fn frames_of_the_corpus_and_at_random_hold_the_properties() {
    assert!(replay("frames", fuzzing::frames, 100_000) >= 20);
}

#[test]
fn operations_of_the_corpus_and_at_random_hold_the_properties() {
    assert!(replay("endpoint", fuzzing::endpoint, 1_000) >= 30);
}

#[test]
fn interactions_of_the_corpus_and_at_random_hold_the_properties() {
    assert!(replay("interaction", fuzzing::interaction, 100) >= 50);
}

#[test]
fn the_committed_seeds_are_those_that_are_made() {
    for seed in fuzzing::seeds() {
        let path = directory(seed.target).join(&seed.name);
        let committed = fs::read(&path).unwrap_or_default();
        assert_eq!(committed, seed.bytes, "{}: run write_the_seeds", path.display());
    }
}

#[test]
#[ignore = "writes to the repository"]
fn write_the_seeds() {
    for seed in fuzzing::seeds() {
        let directory = directory(seed.target);
        fs::create_dir_all(&directory).expect("a writable directory");
        fs::write(directory.join(&seed.name), &seed.bytes).expect("a writable file");
    }
}

/// A number from the environment.
fn number(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn directory(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus_seeds").join(target)
}

/// Pieces of up to three seeds, with some bytes changed; sometimes nothing but noise.
fn mutated(rng: &mut Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..rng.below(4) {
        let seed = &seeds[rng.below(seeds.len())];
        let start = if bytes.is_empty() { 0 } else { rng.below(seed.len() + 1) };
        bytes.extend_from_slice(&seed[start..]);
    }
    if bytes.is_empty() {
        let len = rng.below(300);
        bytes.extend((0..len).map(|_| rng.next().to_le_bytes()[0]));
    }
    for _ in 0..rng.below(6) {
        let (at, value) = (rng.below(bytes.len() + 1), rng.next().to_le_bytes()[0]);
        match bytes.get_mut(at) {
            Some(byte) if value & 1 == 0 => *byte = value,
            Some(byte) => *byte ^= 1 << (value >> 5),
            None => bytes.push(value),
        }
    }
    bytes
}

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap_or_default()
    }
}
