//! What Redis says of history and of the streams: inventories as they are stored, and bytes.
//!
//! What an inventory means is the business of history; here it is fields and values.

use redis::{Pipeline, cmd};

use super::connection::Link;
use super::error::Error;
use super::keys::ShardKeys;

/// Fields asked for at a time: a fraction of a millisecond of Redis. Mostly all of a shard's; but
/// sensors with wild clocks may have readings in any hour there ever was.
const PAGE: usize = 1000;

/// A hash: fields and values, in no order; one may come twice.
pub type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// The inventory of every shard, in the order of `keys`; empty where there is none. A field that
/// is written or removed meanwhile may be there or not.
///
/// # Errors
/// [`Error::Redis`] when there is no answer.
pub async fn inventories(link: &Link, keys: &[ShardKeys]) -> Result<Vec<Fields>, Error> {
    let names: Vec<&str> = keys.iter().map(|keys| keys.inventory.as_str()).collect();
    scan(link, &names).await
}

/// Hashes by their keys, page by page.
pub(super) async fn scan(link: &Link, keys: &[&str]) -> Result<Vec<Fields>, Error> {
    let mut all = vec![Fields::new(); keys.len()];
    let mut left: Vec<(usize, u64)> = (0..keys.len()).map(|place| (place, 0)).collect();
    while !left.is_empty() {
        let mut pipeline = Pipeline::with_capacity(left.len());
        for (place, cursor) in &left {
            pipeline.cmd("HSCAN").arg(keys[*place]).arg(cursor).arg("COUNT").arg(PAGE);
        }
        let pages: Vec<(u64, Fields)> = link.run_all(&pipeline).await?;
        let asked = std::mem::take(&mut left);
        for ((place, _), (cursor, page)) in asked.into_iter().zip(pages) {
            all[place].extend(page);
            if cursor != 0 {
                left.push((place, cursor));
            }
        }
    }
    Ok(all)
}

/// What the streams of all shards take in Redis, in bytes, as MEMORY USAGE estimates it; `None`
/// when the server does not let us ask.
///
/// # Errors
/// [`Error::Redis`] when there is no answer.
pub async fn stream_bytes(link: &Link, keys: &[ShardKeys]) -> Result<Option<u64>, Error> {
    let mut pipeline = Pipeline::with_capacity(keys.len());
    for keys in keys {
        pipeline.add_command(cmd("MEMORY").arg("USAGE").arg(&keys.stream).clone());
    }
    match link.run_all::<Vec<Option<u64>>>(&pipeline).await {
        Ok(bytes) => Ok(Some(bytes.into_iter().flatten().sum())),
        Err(error) if error.is_refusal() => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::RedisServer;
    use super::*;
    use crate::shard::ShardId;

    fn keys() -> Vec<ShardKeys> {
        (0..3).map(|shard| ShardKeys::new(ShardId(shard))).collect()
    }

    #[tokio::test]
    async fn a_large_inventory_is_read_whole_and_a_missing_one_is_empty() {
        let redis = RedisServer::start(&[]).await;
        redis.ask("HSET {sg:0}hs h:h1 5 e:hours 7").await;
        let fields: Vec<_> = (0..5000).map(|index| format!("w:m{index} 9")).collect();
        redis.ask(&format!("HSET {{sg:2}}hs {}", fields.join(" "))).await;
        let mut all = inventories(&redis.link(), &keys()).await.unwrap();
        all.iter_mut().for_each(|fields| {
            fields.sort();
            fields.dedup();
        });
        let field = |field: &str, value: &str| (field.as_bytes().to_vec(), value.into());
        assert_eq!(all[0], [field("e:hours", "7"), field("h:h1", "5")]);
        assert_eq!((all[1].len(), all[2].len()), (0, 5000));
    }

    #[tokio::test]
    async fn the_bytes_of_streams_add_up_unless_the_server_keeps_them_to_itself() {
        let redis = RedisServer::start(&[]).await;
        let link = redis.link();
        assert_eq!(stream_bytes(&link, &keys()).await.unwrap(), Some(0));
        redis.ask("XADD {sg:1}in * topic payload").await;
        let one = stream_bytes(&link, &keys()).await.unwrap().unwrap();
        assert!(one > 100, "{one}");
        redis.ask("XADD {sg:2}in * topic payload").await;
        assert_eq!(stream_bytes(&link, &keys()).await.unwrap(), Some(2 * one));
        redis.ask("ACL SETUSER default -memory").await;
        assert_eq!(stream_bytes(&link, &keys()).await.unwrap(), None);
    }
}
