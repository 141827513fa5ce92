//! Attacks, and what stops each.
//!
//! | attack | what stops it |
//! |---|---|
//! | Resume a session from before the revocation | No sessions, no tickets, no early data, in TLS 1.2 and 1.3 |
//! | Stay on a connection from before the revocation | [`LiveConnections`](crate::LiveConnections) closes it |
//! | Send a denied certificate in another encoding | One encoding is read; the denylist's key does not depend on the signature |
//! | Send another device's certificate beside one's own | The identity comes from the leaf whose key signed this handshake; beside it only the CA itself may be |
//! | A leaf from an intermediate under the same root | One link from leaf to CA |
//! | A certificate that outlives its CA | The CA's own validity is checked |
//! | Long chains, huge leaves, meshes of CAs with the same name | Counts and lengths are limited before any signature is verified |
//! | A server name in odd case, or none, to get another configuration | One configuration for every name |
//! | Read the denylist before it is loaded | It fails closed |
//! | A replaced server certificate that breaks handshakes in flight | Handshakes end with what they began with |
//! | Many connections that never finish their handshake | Each has a time limit, and a source has only its share of the places |
//!
//! What is not stopped here: a stolen private key acts as its device until it is revoked; and what a
//! device may do once it is connected is the application's decision.
