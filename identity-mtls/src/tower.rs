//! A tower layer that tells the requests of one connection which device they come from.

use std::task::{Context, Poll};

use http::Request;
use identity_pki::DeviceIdentity;
use tower_layer::Layer;
use tower_service::Service;

use crate::VerifiedDevice;

/// Puts the device of one connection into the extensions of each of its requests, as
/// [`VerifiedDevice`] and as [`DeviceIdentity`].
///
/// A request of an anonymous connection, or one that came in with such extensions from elsewhere,
/// leaves without them: what a handler finds there is from this connection's handshake.
///
/// ```
/// use http::Request;
/// use identity_mtls::VerifiedDevice;
/// use identity_mtls::tower::DeviceIdentityLayer;
/// use tower_layer::Layer;
/// # fn serve<S: Clone>(routes: &S, device: Option<VerifiedDevice>) {
/// // Once per connection, after its handshake:
/// let service = DeviceIdentityLayer::new(device).layer(routes.clone());
/// # let _ = service;
/// # }
///
/// // In a handler:
/// fn greet<B>(request: &Request<B>) -> String {
///     match request.extensions().get::<VerifiedDevice>() {
///         Some(device) => format!("hello {}", device.identity()),
///         None => "a client certificate is required".to_owned(),
///     }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct DeviceIdentityLayer {
    device: Option<VerifiedDevice>,
}

impl DeviceIdentityLayer {
    /// A layer for the connection of `device`, or of a client without a certificate.
    #[must_use]
    pub fn new(device: Option<VerifiedDevice>) -> Self {
        Self { device }
    }
}

impl<S> Layer<S> for DeviceIdentityLayer {
    type Service = DeviceIdentityService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        DeviceIdentityService {
            device: self.device.clone(),
            inner,
        }
    }
}

/// The service that [`DeviceIdentityLayer`] makes.
#[derive(Debug, Clone)]
pub struct DeviceIdentityService<S> {
    device: Option<VerifiedDevice>,
    inner: S,
}

impl<S, B> Service<Request<B>> for DeviceIdentityService<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let extensions = request.extensions_mut();
        extensions.remove::<VerifiedDevice>();
        extensions.remove::<DeviceIdentity>();
        if let Some(device) = &self.device {
            extensions.insert(device.identity().clone());
            extensions.insert(device.clone());
        }
        self.inner.call(request)
    }
}
