use std::collections::BTreeSet;

use super::*;
use crate::payload::NaiveTime;

fn attention(number: u64, every: &[&str], apart: Duration) -> Attention {
    let every: BTreeSet<Box<str>> = every.iter().map(|entry| (*entry).into()).collect();
    Attention { number, every: Every::new(every), apart }
}

/// A read that brought so many messages.
fn read(messages: usize) -> Vec<Read> {
    let pairs = vec![(b"sensors/a/t".to_vec(), b"1".to_vec()); messages];
    vec![(0, ShardId(0), vec![Entry::new(EntryId { ms: 1, seq: 0 }, pairs)])]
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_short_and_made_for_nobody_who_wants_every_reading() {
    let pause = |messages, is_behind, wanted: &Attention| {
        let second = Duration::from_secs(1);
        let mut calm = Calm { read_at: Instant::now() - second, pause: second };
        calm.read(&read(messages), is_behind, wanted);
        calm.pause
    };
    let ms = Duration::from_millis;
    let (many, few) = (20_001, 20_000);
    assert_eq!(pause(many, false, &attention(1, &[], ms(100))), ms(50));
    // A client that wants to be told every ten seconds does not make the tail sleep for five.
    assert_eq!(pause(many, false, &attention(1, &[], ms(10_000))), PAUSE_MAX);
    assert_eq!(pause(few, false, &attention(1, &[], ms(100))), Duration::ZERO);
    assert_eq!(pause(many, true, &attention(1, &[], ms(100))), Duration::ZERO);
    assert_eq!(pause(many, false, &attention(1, &["a"], ms(100))), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_does_not_wait_for_a_pause_that_was_made_for_others() {
    let (wants, wanted) = watch::channel(attention(0, &[], PAUSE_MAX));
    let (heard, mut told) = mpsc::channel(4);
    let follower = Follower::new(NaiveTime::default(), 7);
    let mut ear = Ear { heard: &heard, attention: wanted, follower };
    let calm = Calm { read_at: Instant::now(), pause: PAUSE_MAX };
    let began = Instant::now();
    assert!(ear.rest(&calm).await.is_some());
    assert!(began.elapsed() >= PAUSE_MAX, "nobody came");
    let (began, calm) = (Instant::now(), Calm { read_at: Instant::now(), pause: PAUSE_MAX });
    wants.send_replace(attention(5, &[], Duration::from_millis(16)));
    assert!(ear.rest(&calm).await.is_some());
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert!(matches!(told.recv().await, Some(Heard::Attentive(5))));
}

#[tokio::test(start_paused = true)]
async fn a_read_goes_on_while_clients_change_their_minds() {
    let (wants, wanted) = watch::channel(attention(0, &[], PAUSE_MAX));
    let (heard, mut told) = mpsc::channel(4);
    let follower = Follower::new(NaiveTime::default(), 7);
    let mut ear = Ear { heard: &heard, attention: wanted, follower };
    let second = Duration::from_secs(1);
    let changing = async {
        for number in 1..=100 {
            wants.send_replace(attention(number, &["a"], PAUSE_MAX));
            let Some(Heard::Attentive(known)) = told.recv().await else { panic!("not told") };
            assert_eq!(known, number);
            sleep(second / 200).await;
        }
    };
    let began = Instant::now();
    let (read, ()) = tokio::join!(ear.attend(sleep(second)), changing);
    assert!(read.is_some());
    assert!(began.elapsed() < 2 * second, "it began once: {:?}", began.elapsed());
    drop(wants);
    assert!(ear.attend(sleep(second)).await.is_none(), "nobody wants anything any more");
}
