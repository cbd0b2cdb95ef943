//! Why bytes of history cannot be read. The reader counts them as a fault and goes on: nobody can
//! repair them.

/// Some bytes are not what this program writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Written by a newer version of the program.
    #[error("version {0}, which this program does not know")]
    Version(u8),
    /// This part of them ends early or says what cannot be.
    #[error("damaged {0}")]
    Damaged(&'static str),
}
