use homeward_store::{StoreError, on_tx, one_row, testing, transaction};
use std::sync::Arc;

#[tokio::test]
async fn a_transaction_can_be_spawned() {
    for db in testing::engines().await {
        let db = Arc::new(db.reopen().await);
        let names = vec![String::from("a")];
        let mut seen = vec![];
        let handle = tokio::spawn(async move {
            let n = names.len();
            transaction!(db, "x.y", async |tx| -> Result<usize, StoreError> {
                seen.clear();
                for name in &names {
                    let done = on_tx!(tx, c => sqlx::query("SELECT $1").bind(name).execute(c).await.map(|d| d.rows_affected()))?;
                    let _ = one_row(done, "x");
                    seen.push(name.clone());
                }
                Ok(n)
            })
        });
        let _ = handle.await.unwrap();
    }
}
