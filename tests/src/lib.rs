//! What the cross-service tests share: starting real processes and reading what they did.
