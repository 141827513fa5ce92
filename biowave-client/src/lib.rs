//! Client for the BioWave Pass palm server: three calls, typed codes, and retries that are safe.
//!
//! The palm server compares one sample with all its templates (`/KZ/query`), learns a new template
//! (`/KZ/add`) and forgets templates (`/KZ/delete`). This crate speaks that wire format and knows
//! nothing of challenges or users: scores and thresholds come back as they were sent, for the
//! caller to judge.
//!
//! ```no_run
//! use biowave_client::{BioWaveClient, Error, PalmType, Refusal, Sample};
//! use url::Url;
//! use uuid::Uuid;
//!
//! # async fn example(rgb: Vec<u8>, ir: Vec<u8>, request_id: Uuid) -> Result<(), Box<dyn std::error::Error>> {
//! let palm_server = BioWaveClient::builder(Url::parse("https://palm.example")?).build()?;
//! let sample = Sample::new(rgb, ir);
//! match palm_server.query(request_id, &sample, PalmType::Left).await {
//!     Ok(answer) => println!("{} candidates", answer.results.len()),
//!     Err(Error::Refused(Refusal::QueryTypeForbidden)) => println!("this palm type is locked"),
//!     Err(error) => return Err(error.into()),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What a failed call may have done
//!
//! Every call has one time limit over all its parts. A call is repeated only when no connection
//! could be made, since then nothing has left this process; everything else comes back as it is.
//! [`Error::may_have_happened`] says whether the palm server may have acted on a call whose answer
//! was lost: after such an `add`, ask before adding again.
//!
//! # Assumptions
//!
//! `/KZ/query` and `/KZ/add` follow the product's specification (diagrams 5.2 and 5.3). The vendor's
//! way to delete is not in it: `/KZ/delete`, its metadata and its answer are this project's
//! assumption, kept in one module, to be replaced when the vendor's interface is known.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `simulator` | a palm server in this process, over real HTTP on loopback: it tells synthetic palms apart by their pictures and fails on demand |

mod builder;
mod client;
mod code;
mod error;
mod palm;
mod retry;
mod sample;
#[cfg(feature = "simulator")]
pub mod simulator;
mod wire;

pub use builder::Builder;
pub use client::BioWaveClient;
pub use code::Refusal;
pub use error::{BaseUrlRule, Error, MalformedAnswer};
pub use palm::{PalmType, PalmTypes};
pub use sample::Sample;
pub use wire::Operation;
pub use wire::add::{Added, Registration};
pub use wire::delete::Deleted;
pub use wire::query::{Match, Matches};
