//! What prost and tonic make of `proto/`, where the documentation is.
#![expect(
    missing_docs,
    clippy::pedantic,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated"
)]

pub mod words {
    pub mod v1 {
        tonic::include_proto!("homeward.words.v1");
    }
}

pub mod directory {
    pub mod v1 {
        tonic::include_proto!("homeward.directory.v1");
    }
}

pub mod policy {
    pub mod v1 {
        tonic::include_proto!("homeward.policy.v1");
    }
}

pub mod recovery {
    pub mod v1 {
        tonic::include_proto!("homeward.recovery.v1");
    }
}

pub mod notification {
    pub mod v1 {
        tonic::include_proto!("homeward.notification.v1");
    }
}

pub mod patrol {
    pub mod v1 {
        tonic::include_proto!("homeward.patrol.v1");
    }
}
