//! Directory against the real simulator, on both databases, with the in-process broker and gRPC in memory.
#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod finding;
mod sweeping;
mod watching;
mod world;

#[tokio::test]
async fn the_tables_agree_on_both_engines() {
    homeward_store::testing::schemas_agree(&homeward_directory::Directory::migrations()).await;
}
