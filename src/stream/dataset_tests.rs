//! Against a real Redis.

use super::super::testing::RedisServer;
use super::*;

fn count(shards: u16) -> Option<ShardCount> {
    ShardCount::new(shards)
}

fn settings(result: Result<Dataset, Error>) -> String {
    let error = result.unwrap_err();
    assert!(error.is_permanent(), "{error}");
    assert!(matches!(error, Error::Settings(_)), "{error}");
    error.to_string()
}

#[tokio::test]
async fn the_first_number_of_shards_stays() {
    let redis = RedisServer::start(&["--maxmemory", "100mb"]).await;
    let link = redis.link();
    let first = Dataset::open(&link, count(3), None).await.unwrap();
    assert_eq!(first.shards.get(), 3);
    assert_eq!(first.generation.len(), 16);
    assert_eq!(first.durability, Durability::Memory);
    assert_eq!(first.maxmemory, 100 << 20);
    assert!(first.system_memory > 0);
    for wanted in [None, count(3)] {
        assert_eq!(Dataset::open(&link, wanted, None).await.unwrap(), first);
    }
    let said = settings(Dataset::open(&link, count(4), None).await);
    assert!(said.contains("STREAMGAUGE_SHARDS is 4") && said.contains("has 3"), "{said}");
}

#[tokio::test]
async fn a_data_set_of_another_format_is_refused_and_left_as_it_is() {
    let redis = RedisServer::start(&[]).await;
    let link = redis.link();
    Dataset::open(&link, None, None).await.unwrap();
    redis.ask("HSET sg:cfg format 4").await;
    let said = settings(Dataset::open(&link, None, None).await);
    assert!(said.contains("is of format 4, this program knows 3"), "{said}");
    assert_eq!(redis.ask("HGET sg:cfg format").await.as_deref(), Some("4"));
    redis.ask("HDEL sg:cfg format").await;
    let said = settings(Dataset::open(&link, None, None).await);
    assert!(said.contains("is of format 1"), "{said}");
    assert_eq!(redis.ask("HGET sg:cfg format").await, None);
}

#[tokio::test]
async fn a_data_set_of_the_format_before_is_adopted_and_raised_also_in_a_full_server() {
    let redis = RedisServer::start(&[]).await;
    let link = redis.link();
    let first = Dataset::open(&link, count(3), None).await.unwrap();
    assert_eq!(redis.ask("HGET sg:cfg format").await.as_deref(), Some("3"));
    redis.ask("HSET sg:cfg format 2").await;
    redis.ask("CONFIG SET maxmemory 1").await;
    let adopted = Dataset::open(&link, None, None).await.unwrap();
    assert_eq!((adopted.shards, &adopted.generation), (first.shards, &first.generation));
    assert_eq!(redis.ask("HGET sg:cfg format").await.as_deref(), Some("3"));
}

#[tokio::test]
async fn processes_that_open_at_once_agree() {
    let redis = RedisServer::start(&[]).await;
    let links: Vec<_> = (0..8).map(|_| redis.link()).collect();
    let mut opening = tokio::task::JoinSet::new();
    for link in links {
        opening.spawn(async move { Dataset::open(&link, None, None).await.unwrap() });
    }
    let opened = opening.join_all().await;
    assert_eq!(opened[0].shards, ShardCount::DEFAULT);
    assert!(opened.iter().all(|other| *other == opened[0]));
}

#[tokio::test]
async fn a_full_server_still_opens() {
    let redis = RedisServer::start(&[]).await;
    let first = Dataset::open(&redis.link(), None, None).await.unwrap();
    redis.ask("CONFIG SET maxmemory 1").await;
    let again = Dataset::open(&redis.link(), None, None).await.unwrap();
    assert_eq!(again.generation, first.generation);
}

#[tokio::test]
async fn a_check_tells_a_full_server_and_a_data_set_that_is_gone() {
    let redis = RedisServer::start(&[]).await;
    let link = redis.link();
    let mut dataset = Dataset::open(&link, None, None).await.unwrap();
    assert!(!dataset.check(&link).await.unwrap());
    redis.ask("CONFIG SET maxmemory 1").await;
    let error = dataset.check(&link).await.unwrap_err();
    assert!(!error.is_permanent(), "{error}");
    redis.ask("CONFIG SET maxmemory 0").await;
    redis.ask("FLUSHALL").await;
    assert!(dataset.check(&link).await.unwrap());
    assert!(!dataset.check(&link).await.unwrap());
}

#[tokio::test]
async fn an_evicting_server_is_refused_by_the_name_of_the_setting() {
    let redis = RedisServer::start(&["--maxmemory-policy", "allkeys-lru"]).await;
    let said = settings(Dataset::open(&redis.link(), None, None).await);
    assert!(said.contains("maxmemory-policy") && said.contains("allkeys-lru"), "{said}");
}

#[tokio::test]
async fn disk_is_promised_only_where_redis_syncs_always() {
    let always = ["--appendonly", "yes", "--appendfsync", "always"];
    let redis = RedisServer::start(&always).await;
    let link = redis.link();
    let open = |wanted| Dataset::open(&link, None, wanted);
    assert_eq!(open(None).await.unwrap().durability, Durability::Disk);
    let memory = Some(Durability::Memory);
    assert_eq!(open(memory).await.unwrap().durability, Durability::Memory);
    let disk = Some(Durability::Disk);
    assert_eq!(open(disk).await.unwrap().durability, Durability::Disk);

    redis.ask("CONFIG SET appendfsync everysec").await;
    assert_eq!(open(None).await.unwrap().durability, Durability::Memory);
    let said = settings(open(disk).await);
    assert!(said.contains("STREAMGAUGE_DURABILITY") && said.contains("everysec"), "{said}");
    redis.ask("CONFIG SET appendonly no").await;
    assert!(settings(open(disk).await).contains("appendonly no"));
}

#[tokio::test]
async fn a_server_that_refuses_config_promises_memory() {
    let redis = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    redis.ask("ACL SETUSER default -config").await;
    let opened = Dataset::open(&redis.link(), None, None).await.unwrap();
    assert_eq!(opened.durability, Durability::Memory);
    let said = settings(Dataset::open(&redis.link(), None, Some(Durability::Disk)).await);
    assert!(said.contains("refused to show"), "{said}");
}

#[tokio::test]
async fn a_foreign_configuration_is_named() {
    let redis = RedisServer::start(&[]).await;
    redis.ask("HSET sg:cfg shards many").await;
    let error = Dataset::open(&redis.link(), None, None).await.unwrap_err();
    assert!(error.is_permanent());
    assert!(error.to_string().contains("sg:cfg"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_may_be_tried_again() {
    let link = {
        let redis = RedisServer::start(&[]).await;
        redis.link()
    };
    let error = Dataset::open(&link, None, None).await.unwrap_err();
    assert!(!error.is_permanent(), "{error}");
}

#[test]
fn old_versions_are_refused_and_new_ones_are_not() {
    let check = |version: &str, fine| {
        let text = format!(
            "# Server\r\nredis_version:{version}\r\nmaxmemory:5\r\n\
                            maxmemory_policy:noeviction\r\n"
        );
        assert_eq!(About::parse(&text).check().is_ok(), fine, "{version}");
    };
    check("7.0.15", true);
    check("8.2.0", true);
    check("10.0.0", true);
    check("6.2.9", false);
    check("", false);
}
