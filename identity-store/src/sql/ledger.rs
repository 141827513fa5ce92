//! Pages of the issuance ledger, newest first.

use identity_pki::DeviceId;

use super::SqlStore;
use super::certificates::{read_issuance, select_issuances};
use super::column::{Window, place};
use super::query::query;
use crate::{Error, Issuance, Page, PageRequest, Result};

macro_rules! list {
    ($by:literal) => {
        select_issuances!(concat!(
            "WHERE ",
            $by,
            " (issued_at, serial) < ($1, $2) ORDER BY issued_at DESC, serial DESC LIMIT $3"
        ))
    };
}

const NEWEST: &str = list!("");
const OF_DEVICE: &str = list!("device_id = $4 AND");

pub(super) async fn page(
    store: &SqlStore,
    device_id: Option<&DeviceId>,
    page: &PageRequest,
) -> Result<Page<Issuance>> {
    let window = Window::of(page)?;
    let serial = hex::decode(&window.id).map_err(|_| Error::Cursor)?;
    let statement = device_id.map_or(NEWEST, |_| OF_DEVICE);
    let mut list = query(statement)
        .bind(window.at)
        .bind(serial)
        .bind(window.rows);
    if let Some(device_id) = device_id {
        list = list.bind(device_id.as_str());
    }
    let rows = store.read("issuances", async move |conn| {
        Ok(list.fetch_all(conn).await?)
    });
    let rows = rows
        .await?
        .iter()
        .map(read_issuance)
        .collect::<Result<_>>()?;
    Ok(Page::cut(rows, page.limit, |issuance: &Issuance| {
        place(issuance.issued_at, &issuance.certificate.serial.to_string())
    }))
}
