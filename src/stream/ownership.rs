//! Who owns a shard: claimed by swapping its fence, given back by dropping it.
//!
//! A fence is random and new at every claim, and is the consumer's name too. Every commit carries
//! it, so that whoever was taken over cannot write any more, however long it slept. Counting
//! instead would not do: a replica that is promoted can hand out the same number again.

use std::fmt;
use std::sync::LazyLock;

use super::connection::Link;
use super::error::Error;
use super::keys::{GROUP, ShardKeys};
use super::nodes::NodeId;
use super::random::random_hex;

static CLAIM: LazyLock<redis::Script> =
    LazyLock::new(|| redis::Script::new(include_str!("claim.lua")));
static RELEASE: LazyLock<redis::Script> =
    LazyLock::new(|| redis::Script::new(include_str!("release.lua")));

/// The proof of owning a shard, and the name of its consumer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(Box<str>);

impl Fence {
    /// A new one: 16 random hex digits.
    #[must_use]
    pub fn random() -> Self {
        Self(random_hex().into())
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who holds a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The proof.
    pub fence: Fence,
    /// The node.
    pub owner: NodeId,
}

/// What a claim says beside the shard.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The fence that stood there when the claim was decided; `None` when there was none.
    pub seen: Option<&'a Fence>,
    /// The fence to stand there from now on.
    pub new: &'a Fence,
    /// Who claims.
    pub node: &'a NodeId,
    /// The data set's, for a shard that has none yet.
    pub generation: &'a str,
}

/// Takes a shard over if its fence is still the one that was seen; false when it is not.
///
/// The stream and its group are made when they are missing, and consumers with nothing pending
/// are taken away. May be repeated when the reply was lost.
///
/// # Errors
/// [`Error::Redis`]: whether the shard is claimed is unknown.
pub async fn claim(link: &Link, keys: &ShardKeys, claim: Claim<'_>) -> Result<bool, Error> {
    let mut call = CLAIM.key(&keys.meta);
    call.key(&keys.stream).arg(claim.seen.map_or("", Fence::as_str)).arg(claim.new.as_str());
    call.arg(claim.node.as_str()).arg(claim.generation).arg(GROUP);
    link.invoke(&call).await
}

/// Gives a shard back; false when it is not held under this fence any more.
///
/// # Errors
/// [`Error::Redis`]: whether the shard is given back is unknown.
pub async fn release(link: &Link, keys: &ShardKeys, fence: &Fence) -> Result<bool, Error> {
    let mut call = RELEASE.key(&keys.meta);
    call.arg(fence.as_str());
    link.invoke(&call).await
}

/// Who holds each of the shards, in their order; `None` where nobody does.
///
/// # Errors
/// [`Error::Redis`]: try again.
pub async fn holders(link: &Link, keys: &[ShardKeys]) -> Result<Vec<Option<Holder>>, Error> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut ask = redis::Pipeline::with_capacity(keys.len());
    for shard in keys {
        ask.cmd("HMGET").arg(&shard.meta).arg("fence").arg("owner");
    }
    let found: Vec<(Option<String>, Option<String>)> = link.run_all(&ask).await?;
    let holder = |(fence, owner): (Option<String>, Option<String>)| {
        let owner = NodeId::new(&owner.unwrap_or_default());
        fence.map(|fence| Holder { fence: Fence(fence.into()), owner })
    };
    Ok(found.into_iter().map(holder).collect())
}

#[cfg(test)]
mod tests {
    use super::super::testing::RedisServer;
    use super::*;
    use crate::shard::ShardId;

    struct Stage {
        redis: RedisServer,
        link: Link,
        keys: ShardKeys,
        node: NodeId,
    }

    impl Stage {
        async fn new() -> Self {
            let redis = RedisServer::start(&[]).await;
            let (link, keys) = (redis.link(), ShardKeys::new(ShardId(3)));
            Self { redis, link, keys, node: NodeId::random() }
        }

        async fn claim(&self, seen: Option<&Fence>, new: &Fence) -> bool {
            let said = Claim { seen, new, node: &self.node, generation: "g1" };
            claim(&self.link, &self.keys, said).await.unwrap()
        }

        async fn holder(&self) -> Option<Holder> {
            holders(&self.link, std::slice::from_ref(&self.keys)).await.unwrap().remove(0)
        }

        async fn read_as(&self, consumer: &Fence) {
            let words = format!(
                "XREADGROUP GROUP aggregate {consumer} COUNT 1 STREAMS {} >",
                self.keys.stream
            );
            let words: Vec<_> = words.split(' ').map(str::as_bytes).collect();
            self.redis.run(&words).await;
        }

        async fn consumers(&self) -> String {
            let words: [&[u8]; 4] =
                [b"XINFO", b"CONSUMERS", self.keys.stream.as_bytes(), b"aggregate"];
            format!("{:?}", self.redis.run(&words).await)
        }
    }

    #[tokio::test]
    async fn of_two_claims_that_saw_the_same_one_wins() {
        let stage = Stage::new().await;
        let (first, second, third) = (Fence::random(), Fence::random(), Fence::random());
        assert_eq!(stage.holder().await, None);
        assert!(stage.claim(None, &first).await);
        assert!(!stage.claim(None, &second).await);
        assert!(stage.claim(None, &first).await, "a repeated claim is still mine");
        let holder = stage.holder().await.unwrap();
        assert_eq!((&holder.fence, &holder.owner), (&first, &stage.node));
        assert!(stage.claim(Some(&first), &second).await);
        assert!(!stage.claim(Some(&first), &third).await);
        assert_eq!(stage.holder().await.unwrap().fence, second);
    }

    #[tokio::test]
    async fn only_the_holder_gives_a_shard_back() {
        let stage = Stage::new().await;
        let (first, second) = (Fence::random(), Fence::random());
        assert!(stage.claim(None, &first).await);
        assert!(stage.claim(Some(&first), &second).await);
        assert!(!release(&stage.link, &stage.keys, &first).await.unwrap());
        assert!(release(&stage.link, &stage.keys, &second).await.unwrap());
        assert_eq!(stage.holder().await, None);
        assert_eq!(holders(&stage.link, &[]).await.unwrap(), []);
    }

    /// XGROUP DELCONSUMER would drop what is pending for good.
    #[tokio::test]
    async fn a_takeover_keeps_consumers_with_pending_entries_and_drops_the_rest() {
        let stage = Stage::new().await;
        let [first, second, third] = std::array::from_fn(|_| Fence::random());
        assert!(stage.claim(None, &first).await);
        let stream = &stage.keys.stream;
        stage.redis.ask(&format!("XGROUP CREATECONSUMER {stream} aggregate {first}")).await;
        stage.redis.ask(&format!("XADD {stream} * a b")).await;
        stage.read_as(&second).await;
        let before = stage.consumers().await;
        assert!(before.contains(first.as_str()) && before.contains(second.as_str()), "{before}");
        assert!(stage.claim(Some(&first), &third).await);
        let after = stage.consumers().await;
        assert!(!after.contains(first.as_str()) && after.contains(second.as_str()), "{after}");
    }

    #[tokio::test]
    async fn a_claim_works_in_a_full_server_and_after_its_scripts_are_gone() {
        let stage = Stage::new().await;
        let (first, second) = (Fence::random(), Fence::random());
        assert!(stage.claim(None, &first).await);
        stage.redis.ask("CONFIG SET maxmemory 1").await;
        stage.redis.ask("SCRIPT FLUSH").await;
        assert!(stage.claim(Some(&first), &second).await);
        assert!(release(&stage.link, &stage.keys, &second).await.unwrap());
    }

    #[tokio::test]
    async fn a_claim_reads_what_was_there_before_and_names_the_generation_once() {
        let stage = Stage::new().await;
        stage.redis.ask(&format!("XADD {} * a b", stage.keys.stream)).await;
        let fence = Fence::random();
        assert!(stage.claim(None, &fence).await);
        stage.read_as(&fence).await;
        let pending: [&[u8]; 3] = [b"XPENDING", stage.keys.stream.as_bytes(), b"aggregate"];
        let pending = format!("{:?}", stage.redis.run(&pending).await);
        assert!(pending.starts_with("array([int(1)"), "{pending}");
        let named = format!("HGET {} generation", stage.keys.meta);
        assert_eq!(stage.redis.ask(&named).await.as_deref(), Some("g1"));
        stage.redis.ask(&format!("HSET {} generation g0", stage.keys.meta)).await;
        assert!(stage.claim(Some(&fence), &Fence::random()).await);
        assert_eq!(stage.redis.ask(&named).await.as_deref(), Some("g0"));
    }
}
