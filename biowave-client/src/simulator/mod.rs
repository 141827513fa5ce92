//! A palm server in this process: real HTTP on loopback, templates in memory, faults on demand.
//!
//! It takes what [`BioWaveClient`](crate::BioWaveClient) sends, and what any other client of the
//! same interface sends. Palms are synthetic: [`palm_sample`] draws one, the same palm with another
//! noise is recognised, another palm is not. Any other PNG is alike to itself only.
//!
//! ```
//! use biowave_client::simulator::{PalmServer, palm_sample};
//! use biowave_client::{BioWaveClient, PalmType, Registration};
//! use uuid::Uuid;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = PalmServer::start().await?;
//! let palm_server = BioWaveClient::builder(server.url()).build()?;
//!
//! let ada = Registration { user_id: "bank:ada", palm_type: PalmType::Left, query_type: None };
//! palm_server.add(Uuid::from_u128(1), &palm_sample(7, 0), &ada).await?;
//!
//! let answer = palm_server.query(Uuid::from_u128(2), &palm_sample(7, 1), PalmType::Left).await?;
//! assert_eq!(answer.results[0].user_id, "bank:ada");
//! # Ok(())
//! # }
//! ```

mod fault;
mod form;
mod http;
mod picture;
mod png;
mod server;
mod templates;

pub use fault::Fault;
pub use picture::{blurred_palm_sample, palm_png, palm_sample};
pub use server::{Call, PalmServer};
pub use templates::{Learnt, THRESHOLD};
