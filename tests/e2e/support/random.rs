//! Random numbers from a seed that a failed test shows.

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Another sequence each time; `TEST_SEED=<number>` in the environment gives one again.
    #[expect(clippy::print_stderr, reason = "shown when the test fails")]
    pub fn seeded() -> Self {
        let fresh = jiff::Timestamp::now().as_microsecond().unsigned_abs();
        let seed = setting("TEST_SEED").unwrap_or(fresh);
        eprintln!("TEST_SEED={seed}");
        Self(seed)
    }

    /// A sequence of its own for somebody else.
    pub fn split(&mut self) -> Self {
        Self(self.next())
    }

    /// From 0 to `end`, without `end`, which is above 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Whether one of so many cases has come.
    pub fn is_one_in(&mut self, cases: u64) -> bool {
        self.below(cases) == 0
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

/// A whole number in the environment of the tests, such as the Makefile sets; `None` when unset.
#[expect(clippy::disallowed_methods, reason = "it is the tests that are told, not Streamgauge")]
pub fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}; allowed: a whole number")))
}
