use proptest::prelude::*;

use super::*;

fn after(interval: Interval, gaps: impl IntoIterator<Item = u64>) -> Interval {
    gaps.into_iter().fold(interval, Interval::after)
}

fn settled(gap: u64) -> Interval {
    after(Interval::default(), std::iter::repeat_n(gap, 3))
}

#[test]
fn the_first_gap_is_taken_as_it_is() {
    assert_eq!(Interval::default().ms(), 0);
    assert_eq!(Interval::default().after(0).ms(), 0);
    assert_eq!(Interval::default().after(60_000).ms(), 60_000);
    assert_eq!(Interval::default().after(u64::MAX).ms(), u32::MAX);
    assert_eq!(Interval::of_ms(u32::MAX).after(u64::MAX).ms(), u32::MAX);
}

/// A device wakes up each hour and sends what it has buffered.
#[test]
fn bursts_do_not_make_an_hour_forgotten() {
    let hour = 3_600_000;
    for (messages, gap) in [(10, 1), (100, 20), (500, 5), (500, 100)] {
        let mut interval = settled(hour);
        for cycle in 0..100 {
            interval = after(interval, std::iter::repeat_n(gap, messages));
            let late_ms = 3 * u64::from(interval.ms());
            assert!(late_ms > hour, "{messages} by {gap}, cycle {cycle}: {interval:?}");
            interval = interval.after(hour - gap * messages as u64);
        }
    }
}

#[test]
fn a_burst_at_the_very_beginning_is_forgotten_within_hours() {
    let hour = 3_600_000;
    let mut interval = settled(5);
    let cycles = (1..=24).find(|_| {
        interval = after(interval.after(hour), std::iter::repeat_n(5, 20));
        3 * u64::from(interval.ms()) > hour
    });
    assert!(cycles.is_some_and(|cycles| cycles <= 8), "{cycles:?}");
}

#[test]
fn an_outage_is_no_habit() {
    let after_outage = settled(60_000).after(86_400_000);
    assert_eq!(after_outage.ms(), 150_000);
    // An hour later nearly nothing is left of it.
    let later = after(after_outage, std::iter::repeat_n(60_000, 64));
    assert!(later.ms() < 66_000, "{later:?}");
    // A fast sensor's outage hardly shows in what is judged from ten seconds on.
    assert!(settled(1_000).after(86_400_000).ms() < 7_000);
}

#[test]
fn a_series_that_became_slower_is_known_after_a_few_messages() {
    for (before, now) in [(1_000u64, 60_000u64), (60_000, 3_600_000), (1, 86_400_000)] {
        let mut interval = settled(before);
        let messages = (1..=20).find(|_| {
            interval = interval.after(now);
            3 * u64::from(interval.ms()) > now
        });
        assert!(messages.is_some_and(|it| it <= 12), "{before} to {now}: {messages:?}");
    }
}

#[test]
fn a_series_that_became_faster_is_known_within_its_old_intervals() {
    for (before, now) in [(60_000u64, 1_000u64), (10_000, 100), (600_000, 60_000)] {
        let messages = usize::try_from(MEMORY * before / now).unwrap();
        let interval = after(settled(before), std::iter::repeat_n(now, messages));
        assert!(u64::from(interval.ms()) < 2 * now + 100, "{before} to {now}: {interval:?}");
    }
    // Once a day, then each second: within two hours offline is no later than some minutes.
    let interval = after(settled(86_400_000), std::iter::repeat_n(1_000, 7_200));
    assert!(interval.ms() < 86_400_000 / 500, "{interval:?}");
}

proptest! {
    #[test]
    fn a_regular_series_has_its_own_interval(gap in 1u64..5_000_000_000, messages in 1usize..50) {
        let interval = after(Interval::default(), std::iter::repeat_n(gap, messages));
        prop_assert_eq!(u64::from(interval.ms()), gap.min(u64::from(u32::MAX)));
    }

    #[test]
    fn it_never_leaves_the_range_of_the_gaps(
        gaps in prop::collection::vec(1u64..10_000_000, 1..200),
    ) {
        let interval = u64::from(after(Interval::default(), gaps.iter().copied()).ms());
        let (least, most) = (gaps.iter().min().unwrap(), gaps.iter().max().unwrap());
        prop_assert!((*least..=*most).contains(&interval), "{interval}");
    }

    #[test]
    fn a_jittered_series_is_not_called_late(
        mean in 5_000u64..3_600_000,
        jitter in prop::collection::vec(0.2f64..1.8, 50..300),
    ) {
        let gaps = jitter.iter().map(|factor| (factor * mean as f64) as u64);
        let mut interval = settled(mean);
        for gap in gaps {
            prop_assert!(gap < 3 * u64::from(interval.ms()), "{gap} after {interval:?}");
            interval = interval.after(gap);
        }
        prop_assert!(u64::from(interval.ms()) <= mean * 2);
    }

    #[test]
    fn gaps_within_a_message_change_nothing(ms in 0u32.., gap in 0u64..100_000_000) {
        let once = Interval::of_ms(ms).after(gap);
        prop_assert_eq!(once.after(0), once);
    }
}
