//! The device in the extensions of a request.
#![cfg(feature = "tower")]
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod fleet;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use fleet::certificates::Authority;
use fleet::{NOW, denylist, identity, provider};
use http::{Extensions, Request};
use identity_mtls::tower::DeviceIdentityLayer;
use identity_mtls::{PresentedChain, VerifiedDevice, decide};
use identity_pki::DeviceIdentity;
use tower_layer::Layer;
use tower_service::Service;

/// Answers with the extensions of the request.
#[derive(Clone)]
struct Echo;

impl Service<Request<()>> for Echo {
    type Response = Extensions;
    type Error = Infallible;
    type Future = Ready<Result<Extensions, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        ready(Ok(request.into_parts().0.extensions))
    }
}

fn device(device_id: &str) -> VerifiedDevice {
    let authority = Authority::new();
    let credentials = authority.device(device_id);
    let chain = PresentedChain::new(credentials.leaf(), &[]).expect("short");
    let algorithms = provider().signature_verification_algorithms;
    let denylist = denylist([]).snapshot();
    decide(
        &chain,
        NOW,
        &authority.trust(),
        denylist.as_deref(),
        &algorithms,
    )
    .expect("accepted")
}

async fn extensions(connection: Option<VerifiedDevice>, request: Request<()>) -> Extensions {
    let mut service = DeviceIdentityLayer::new(connection).layer(Echo);
    service.call(request).await.expect("infallible")
}

#[tokio::test]
async fn each_request_of_a_connection_carries_its_device() {
    let device = device("dev_1");
    let found = extensions(Some(device.clone()), Request::new(())).await;
    assert_eq!(found.get::<VerifiedDevice>(), Some(&device));
    assert_eq!(found.get::<DeviceIdentity>(), Some(&identity("dev_1")));
}

#[tokio::test]
async fn what_a_request_brought_along_is_replaced_or_removed() {
    let claimed = || {
        let mut request = Request::new(());
        request.extensions_mut().insert(device("dev_claimed"));
        request.extensions_mut().insert(identity("dev_claimed"));
        request
    };
    let anonymous = extensions(None, claimed()).await;
    assert_eq!(anonymous.get::<VerifiedDevice>(), None);
    assert_eq!(anonymous.get::<DeviceIdentity>(), None);

    let device = device("dev_1");
    let found = extensions(Some(device.clone()), claimed()).await;
    assert_eq!(found.get::<VerifiedDevice>(), Some(&device));
    assert_eq!(found.get::<DeviceIdentity>(), Some(&identity("dev_1")));
}
