//! Where Homeward listens. Opened before anything else starts, so that a taken port is told at once.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context;
use homeward_chassis::rpc::{Listen, Tls};
use tokio::net::TcpListener;

use crate::exit::Failure;
use crate::settings;

/// The listening sockets.
pub struct Doors {
    /// For gRPC.
    pub grpc: TcpListener,
    /// The certificate that gRPC shows.
    pub tls: Option<Tls>,
    /// For the console.
    pub console: TcpListener,
}

impl Doors {
    /// Listens where the settings say.
    pub async fn open(doors: &settings::Doors) -> Result<Self, Failure> {
        let grpc = doors.grpc.bind().await.context("listen.grpc")?;
        let console = Listen { address: doors.console, tls: None }.bind().await.context("listen.console")?;
        Ok(Self { grpc, tls: doors.grpc.tls.clone(), console })
    }

    /// Listens on free ports of this machine.
    #[cfg(feature = "demo")]
    pub async fn any() -> Result<Self, Failure> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self::open(&settings::Doors { grpc: Listen { address: any, tls: None }, console: any, ..settings::Doors::default() })
            .await
    }

    /// Where gRPC listens.
    pub fn grpc_address(&self) -> anyhow::Result<SocketAddr> {
        self.grpc.local_addr().context("the address of gRPC")
    }

    /// Where the console listens.
    pub fn console_address(&self) -> anyhow::Result<SocketAddr> {
        self.console.local_addr().context("the address of the console")
    }
}
