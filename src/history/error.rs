//! What may go wrong while reading history.

/// An error of the history room.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Redis did not answer, or refused; whoever asked may ask again.
    #[error(transparent)]
    Stream(#[from] crate::stream::Error),
    /// The series was deleted and came back each time it was read; ask again.
    #[error("the series changed its number {0} times while it was read")]
    Unsettled(u32),
}
