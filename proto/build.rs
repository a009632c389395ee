//! Compiles the `.proto` files with a pure-Rust compiler, so that no system `protoc` is needed, and
//! writes the descriptor set that the reflection service hands out.

use std::{env, error::Error, fs, path::Path};

use prost::Message;

const FILES: [&str; 13] = [
    "hashpit/common/v1/common.proto",
    "hashpit/reference/v1/reference_service.proto",
    "hashpit/trading/v1/order.proto",
    "hashpit/trading/v1/session.proto",
    "hashpit/trading/v1/trading_service.proto",
    "hashpit/marketdata/v1/market_data.proto",
    "hashpit/marketdata/v1/market_data_service.proto",
    "hashpit/account/v1/account_service.proto",
    "hashpit/admin/v1/admin_service.proto",
    "hashpit/admin/v1/oracle_service.proto",
    "hashpit/risk/v1/risk_service.proto",
    "hashpit/rfq/v1/rfq_service.proto",
    "hashpit/delivery/v1/delivery_service.proto",
];
const PROOF: &str = "hashpit/proof/v1/proof_service.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=hashpit");
    let descriptors = protox::compile(FILES.iter().chain([&PROOF]), ["."])?;
    let out = env::var("OUT_DIR")?;
    fs::write(
        Path::new(&out).join("descriptors.bin"),
        descriptors.encode_to_vec(),
    )?;
    tonic_prost_build::configure()
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors)?;
    Ok(())
}
