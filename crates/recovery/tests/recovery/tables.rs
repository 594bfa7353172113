//! The tables themselves.

use homeward_recovery::Recovery;
use homeward_store::on;
use homeward_store::testing::schemas_agree;

use crate::world::{Wishes, on_each_engine};

#[tokio::test]
async fn both_engines_have_the_same_tables() {
    schemas_agree(&Recovery::migrations()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_saga_and_the_timeline_hold_no_address_and_no_words_of_persons() {
    on_each_engine(Wishes::default(), async |world| {
        let id = world.approved("acc7").await;
        world.at(&id, "closed").await;
        let read = async |sql: &'static str| -> Vec<String> {
            on!(world.database(), pool => sqlx::query_scalar(sql).fetch_all(pool).await).unwrap()
        };
        let as_text = if world.db.is_postgres() { "SELECT data::text FROM saga" } else { "SELECT data FROM saga" };
        let mut texts = read(as_text).await;
        texts.extend(read("SELECT sentence FROM timeline").await);
        let audit =
            if world.db.is_postgres() { "SELECT detail::text FROM audit_entry" } else { "SELECT detail FROM audit_entry" };
        texts.extend(read(audit).await);
        assert!(texts.len() > 15);
        for personal in ["example.com", "Person 7", "lost the phone", "+49 30 1", "seen the proof"] {
            assert!(!texts.iter().any(|text| text.contains(personal)), "{personal} in {texts:?}");
        }
        let erasable = read("SELECT text FROM recovery_text ORDER BY subject").await;
        assert_eq!(erasable, ["called back on +49 30 1", "seen the proof"]);
        assert_eq!(read("SELECT reason FROM recovery_personal").await, ["lost the phone"]);
        world.end().await;
    })
    .await;
}
