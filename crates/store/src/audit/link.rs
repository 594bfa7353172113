//! One entry's bytes and its place in the chain. Pure: the chainer and the verifier must agree on every bit.

use homeward_types::Timestamp;
use ring::digest::{Context, SHA256};

/// A SHA-256 digest.
pub(super) type Digest = [u8; 32];

/// What stands before a chain's first entry.
pub(super) const GENESIS: Digest = [0; 32];

/// Says what is hashed and in which form, so that no other use of SHA-256 can be taken for a link.
const FORM: &[u8] = b"homeward audit entry 1\n";

/// An entry as stored.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct StoredEntry {
    pub(super) number: i64,
    pub(super) organisation: String,
    pub(super) at: Timestamp,
    pub(super) actor: String,
    pub(super) action: String,
    pub(super) subject: String,
    pub(super) detail: String,
    pub(super) trace_id: Option<String>,
    pub(super) personal: Option<Vec<u8>>,
}

/// The hash of `entry` as number `seq` of its chain, after an entry with the hash `before`.
pub(super) fn link(before: &Digest, seq: i64, entry: &StoredEntry) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(FORM);
    context.update(before);
    context.update(&seq.to_be_bytes());
    context.update(&entry.at.timestamp().to_be_bytes());
    context.update(&entry.at.timestamp_subsec_nanos().to_be_bytes());
    for text in [&entry.organisation, &entry.actor, &entry.action, &entry.subject, &entry.detail] {
        field(&mut context, Some(text.as_bytes()));
    }
    field(&mut context, entry.trace_id.as_deref().map(str::as_bytes));
    field(&mut context, entry.personal.as_deref());
    finish(context)
}

/// The digest that stands for a personal text in the chain.
pub(super) fn personal(salt: &[u8], text: &str) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(b"homeward audit personal 1\n");
    field(&mut context, Some(salt));
    field(&mut context, Some(text.as_bytes()));
    finish(context)
}

/// With its length before it, so that no two lists of fields have the same bytes.
fn field(context: &mut Context, bytes: Option<&[u8]>) {
    match bytes {
        None => context.update(&u64::MAX.to_be_bytes()),
        Some(bytes) => {
            context.update(&(bytes.len() as u64).to_be_bytes());
            context.update(bytes);
        }
    }
}

fn finish(context: Context) -> Digest {
    let mut digest = GENESIS;
    digest.copy_from_slice(context.finish().as_ref());
    digest
}
