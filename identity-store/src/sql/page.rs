use super::SqlStore;
use super::column::Window;
use super::query::Query;
use super::row::Row;
use crate::{Page, PageRequest, Result};

impl SqlStore {
    /// Reads a page of what `list` finds, whose last three values are where the page starts: the
    /// moment, the id, and how many rows.
    pub(super) async fn page<T>(
        &self,
        name: &'static str,
        list: Query<'_>,
        page: &PageRequest,
        read: impl Fn(&Row) -> Result<T>,
        place: impl Fn(&T) -> String,
    ) -> Result<Page<T>> {
        let window = Window::of(page)?;
        let list = list.bind(window.at).bind(window.id).bind(window.rows);
        let rows = self
            .read(name, async move |conn| Ok(list.fetch_all(conn).await?))
            .await?;
        let rows = rows.iter().map(read).collect::<Result<_>>()?;
        Ok(Page::cut(rows, page.limit, place))
    }
}
