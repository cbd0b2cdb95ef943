//! Random numbers that name things: producers, fences, tokens.

/// 64 bits from the operating system.
///
/// # Panics
/// When the operating system has no randomness to give: nothing that must be unique would be.
#[must_use]
#[expect(clippy::expect_used, reason = "without randomness no fence and no id can be trusted")]
pub fn random_u64() -> u64 {
    getrandom::u64().expect("the operating system gives random numbers")
}

/// 64 random bits as 16 hex digits.
#[must_use]
pub fn random_hex() -> String {
    format!("{:016x}", random_u64())
}
