//! What counts depend on, besides the code.

use std::fmt;

/// Counts of one setting say nothing about another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Setting {
    /// `rustc -V`, and the flags of the compiler if there were any.
    pub(crate) rustc: String,
    /// The target triple.
    pub(crate) target: String,
    /// Features of the processor, as valgrind shows them to programs.
    pub(crate) features: String,
}

impl Setting {
    /// The setting of this binary, which saw `features` under valgrind.
    pub(crate) fn here(features: &str) -> Self {
        Self { rustc: COMPILER.into(), target: TARGET.into(), features: features.into() }
    }

    /// Whether the same toolchain built this binary. Without valgrind nobody knows the features.
    pub(crate) fn is_toolchain_here(&self) -> bool {
        self.rustc == COMPILER && self.target == TARGET
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {}", self.rustc, self.target, self.features)
    }
}

/// Features of the processor by which a crate that is counted may choose its code.
pub(crate) fn features() -> String {
    #[cfg(target_arch = "x86_64")]
    let found = [
        ("sse4.1", is_x86_feature_detected!("sse4.1")),
        ("pclmulqdq", is_x86_feature_detected!("pclmulqdq")),
        ("aes", is_x86_feature_detected!("aes")),
        ("avx", is_x86_feature_detected!("avx")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("bmi2", is_x86_feature_detected!("bmi2")),
        ("adx", is_x86_feature_detected!("adx")),
        ("sha", is_x86_feature_detected!("sha")),
        ("vaes", is_x86_feature_detected!("vaes")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512ifma", is_x86_feature_detected!("avx512ifma")),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let found = [("unknown", true)];
    let names: Vec<_> =
        found.iter().filter(|(_, is_there)| *is_there).map(|(name, _)| *name).collect();
    names.join(" ")
}

/// What built this binary, as the build script noted it.
const COMPILER: &str = env!("COMPILER");

/// What it was built for.
const TARGET: &str = env!("TARGET");
