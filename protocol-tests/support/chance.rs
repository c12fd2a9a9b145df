//! Chance that can be had again: each test prints its seed.

/// Returns random numbers for the test `name`. The seed is printed; `SPINREG_TEST_SEED` brings the same ones again.
pub(crate) fn chance(name: &str) -> fastrand::Rng {
    let given = std::env::var("SPINREG_TEST_SEED").ok().map(|seed| seed.parse().expect("a seed is a number"));
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    eprintln!("{name}: again with SPINREG_TEST_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}
