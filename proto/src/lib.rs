//! Hashpit's wire contract: generated messages, clients and servers, and the descriptor set.
//!
//! The documentation is in the `.proto` files under `proto/hashpit/`; nothing here is written by hand.
#![allow(missing_docs, reason = "generated from documented .proto files")]
#![allow(clippy::all, reason = "generated code")]
#![allow(unreachable_pub, reason = "generated code")]

/// Serialised `FileDescriptorSet` of every package, for the reflection service.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

macro_rules! packages {
    ($($area:ident = $package:literal),+ $(,)?) => { $(
        #[doc = concat!("Package `", $package, "`.")]
        pub mod $area {
            /// First version.
            pub mod v1 {
                tonic::include_proto!($package);
            }
        }
    )+ };
}

/// Root of the package tree; generated code refers to its neighbours by relative paths.
pub mod hashpit {
    packages!(
        common = "hashpit.common.v1",
        reference = "hashpit.reference.v1",
        trading = "hashpit.trading.v1",
        marketdata = "hashpit.marketdata.v1",
        account = "hashpit.account.v1",
        admin = "hashpit.admin.v1",
        risk = "hashpit.risk.v1",
        rfq = "hashpit.rfq.v1",
        delivery = "hashpit.delivery.v1",
        proof = "hashpit.proof.v1",
    );
}

pub use hashpit::*;
