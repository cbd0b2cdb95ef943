//! Every reading published against every reading received.

/// A reading as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its sensor.
    pub sensor: u32,
    /// Its value: when it was published.
    pub stamp: u64,
    /// When it came.
    pub at: u64,
}

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Different readings that were published and came.
    pub received: u64,
    /// Readings that did not come.
    pub missing: u64,
    /// Readings that came again.
    pub doubled: u64,
    /// Readings that came after a later one of their sensor.
    pub out_of_order: u64,
    /// Readings that nobody published.
    pub unknown: u64,
}

/// Compares; `each` is told the number within its sensor of every reading that came first time.
pub fn compare(
    published: &[Vec<u64>],
    received: &[Received],
    mut each: impl FnMut(Received, usize),
) -> Comparison {
    let mut found = Comparison::default();
    let mut seen: Vec<Vec<bool>> = published.iter().map(|of| vec![false; of.len()]).collect();
    let mut highest = vec![None; published.len()];
    for &reading in received {
        let sensor = reading.sensor as usize;
        let number = published.get(sensor).and_then(|of| of.binary_search(&reading.stamp).ok());
        let Some(number) = number else {
            found.unknown += 1;
            continue;
        };
        if std::mem::replace(&mut seen[sensor][number], true) {
            found.doubled += 1;
            continue;
        }
        found.received += 1;
        found.out_of_order += u64::from(highest[sensor] > Some(number));
        highest[sensor] = highest[sensor].max(Some(number));
        each(reading, number);
    }
    found.missing = seen.iter().flatten().filter(|seen| !**seen).count() as u64;
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_wrong_is_counted() {
        let published = [vec![10, 20, 30, 40], vec![15]];
        let came = [(0, 10), (1, 15), (0, 30), (0, 20), (0, 30), (0, 25), (7, 10)];
        let received = came.map(|(sensor, stamp)| Received { sensor, stamp, at: 99 });
        let mut numbers = Vec::new();
        let found = compare(&published, &received, |reading, number| {
            numbers.push((reading.sensor, number));
        });
        let expected =
            Comparison { received: 4, missing: 1, doubled: 1, out_of_order: 1, unknown: 2 };
        assert_eq!(found, expected);
        assert_eq!(numbers, [(0, 0), (1, 0), (0, 2), (0, 1)]);
    }
}
