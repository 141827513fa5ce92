use async_trait::async_trait;
use time::OffsetDateTime;

use crate::{
    Chain, Change, Delivery, DeliveryId, DeliveryStatus, NewWebhook, OutboxEvent, Page,
    PageRequest, Recovered, Result, SecretBytes, Webhook, WebhookId, WebhookSettings,
};

/// Endpoints that are told of events: a tenant's of that tenant's, the platform's of the platform's own.
/// What a method does is told in the chain of the endpoint's owner, and another owner's endpoint is not found.
#[async_trait]
pub trait WebhookStore: Send + Sync {
    /// Makes an endpoint. Event: `webhook_endpoint_created`.
    ///
    /// # Errors
    ///
    /// [`Entity::Tenant`](crate::Entity::Tenant) is not found;
    /// [`Conflict::TooManyWebhooks`](crate::Conflict::TooManyWebhooks) if the owner has
    /// [`MAX_WEBHOOKS`](crate::MAX_WEBHOOKS).
    async fn create_webhook(&self, change: Change, webhook: NewWebhook) -> Result<Webhook>;

    /// Reads an endpoint.
    async fn webhook(&self, owner: &Chain, webhook_id: &WebhookId) -> Result<Option<Webhook>>;

    /// Lists an owner's endpoints, newest first.
    async fn webhooks(&self, owner: &Chain, page: PageRequest) -> Result<Page<Webhook>>;

    /// Replaces the settings of an endpoint. Event: `webhook_endpoint_updated`.
    ///
    /// # Errors
    ///
    /// [`Entity::Webhook`](crate::Entity::Webhook) is not found.
    async fn update_webhook(
        &self,
        change: Change,
        owner: &Chain,
        webhook_id: &WebhookId,
        settings: WebhookSettings,
    ) -> Result<Webhook>;

    /// Deletes an endpoint with its deliveries. Event: `webhook_endpoint_deleted`.
    ///
    /// # Errors
    ///
    /// [`Entity::Webhook`](crate::Entity::Webhook) is not found.
    async fn delete_webhook(
        &self,
        change: Change,
        owner: &Chain,
        webhook_id: &WebhookId,
    ) -> Result<()>;

    /// Gives an endpoint another secret; the ones before sign until `others_until`, or their own earlier
    /// end. Secrets that ended are dropped, and so are the oldest beyond
    /// [`MAX_WEBHOOK_SECRETS`](crate::MAX_WEBHOOK_SECRETS). Event: `webhook_endpoint_secret_rotated`.
    ///
    /// # Errors
    ///
    /// [`Entity::Webhook`](crate::Entity::Webhook) is not found.
    async fn rotate_webhook_secret(
        &self,
        change: Change,
        owner: &Chain,
        webhook_id: &WebhookId,
        secret: SecretBytes,
        others_until: OffsetDateTime,
    ) -> Result<Webhook>;

    /// Enables an endpoint that was disabled: what is pending goes on, and new events are delivered. One that
    /// is enabled stays as it is. Event: `webhook_endpoint_enabled`, if it was disabled.
    ///
    /// # Errors
    ///
    /// [`Entity::Webhook`](crate::Entity::Webhook) is not found.
    async fn enable_webhook(
        &self,
        change: Change,
        owner: &Chain,
        webhook_id: &WebhookId,
    ) -> Result<Webhook>;

    /// Sends an event to this endpoint alone, whatever it subscribes to, on the way that every event goes.
    /// Event: `webhook_endpoint_tested`, with the webhook `webhook.test`.
    ///
    /// # Errors
    ///
    /// [`Entity::Webhook`](crate::Entity::Webhook) is not found;
    /// [`Conflict::WebhookDisabled`](crate::Conflict::WebhookDisabled).
    async fn test_webhook(
        &self,
        change: Change,
        owner: &Chain,
        webhook_id: &WebhookId,
    ) -> Result<()>;

    /// Lists the deliveries of an owner's endpoint, of one status or of all, newest first.
    async fn deliveries(
        &self,
        owner: &Chain,
        webhook_id: &WebhookId,
        status: Option<DeliveryStatus>,
        page: PageRequest,
    ) -> Result<Page<Delivery>>;

    /// Makes a delivery due at once, with all its tries, whatever came of it before; what comes of a try that
    /// is under way no longer counts. Event: `webhook_delivery_resent`.
    ///
    /// # Errors
    ///
    /// [`Entity::Delivery`](crate::Entity::Delivery) is not found, or its endpoint is gone;
    /// [`Conflict::WebhookDisabled`](crate::Conflict::WebhookDisabled).
    async fn resend_delivery(
        &self,
        change: Change,
        owner: &Chain,
        delivery_id: &DeliveryId,
    ) -> Result<Delivery>;

    /// Makes what an endpoint subscribes to and did not get since `since` due at once: deliveries that failed,
    /// and events that have none, such as those of the time in which it was disabled. At most `limit` events,
    /// the oldest first; what is pending or delivered stays as it is. Event: `webhook_endpoint_recovered`.
    ///
    /// # Errors
    ///
    /// [`Entity::Webhook`](crate::Entity::Webhook) is not found;
    /// [`Conflict::WebhookDisabled`](crate::Conflict::WebhookDisabled).
    async fn recover_deliveries(
        &self,
        change: Change,
        owner: &Chain,
        webhook_id: &WebhookId,
        since: OffsetDateTime,
        limit: u32,
    ) -> Result<Recovered>;

    /// The events of a subject whose number is beyond `after`, in the order of their numbers, at most `limit`.
    async fn events(
        &self,
        owner: &Chain,
        subject: &str,
        after: u64,
        limit: u32,
    ) -> Result<Vec<OutboxEvent>>;
}
