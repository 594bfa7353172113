//! Cases: who may recover an account, who must approve it, and the saga that ends with the account at home.

pub mod saga;
