//! `list_clients`: the clients page by page.

use phantom_module::{Action, Call, Effect, Text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clients::items;
use crate::{ClientItem, Core, CoreError};

/// Lists clients page by page, oldest first.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListClients {
    /// Page number
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 4_294_967_295_u32), extend("x-tr" = "Sayfa numarası"))]
    pub page: u32,
    /// Items per page
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 100_000), extend("x-tr" = "Sayfa başına öğe"))]
    pub per_page: u32,
    /// Part of a name or address
    #[serde(default)]
    #[schemars(extend("x-tr" = "Ad veya adresin bir parçası"))]
    pub search: Option<String>,
    /// Clients found by name before those found by address
    #[serde(default)]
    #[schemars(extend("x-tr" = "Adıyla bulunan istemciler adresiyle bulunanlardan önce gelsin"))]
    pub names_first: bool,
}

/// A page of clients.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ClientList {
    /// Clients found by the search
    #[schemars(extend("x-tr" = "Aramanın bulduğu istemci sayısı"))]
    pub total: u32,
    /// The page
    #[schemars(extend("x-tr" = "Sayfadaki istemciler"))]
    pub clients: Vec<ClientItem>,
    /// Where it lies
    #[schemars(extend("x-tr" = "Sayfanın yeri"))]
    pub pagination: Pagination,
}

/// Where a page is in the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Pagination {
    /// The page shown
    #[schemars(extend("x-tr" = "Gösterilen sayfa"))]
    pub page: u32,
    /// Items per page
    #[schemars(extend("x-tr" = "Sayfa başına öğe"))]
    pub per_page: u32,
    /// Pages in all
    #[schemars(extend("x-tr" = "Toplam sayfa sayısı"))]
    pub total_pages: u32,
    /// There is a page behind it
    #[schemars(extend("x-tr" = "Sonrasında bir sayfa var"))]
    pub has_next: bool,
    /// There is a page before it
    #[schemars(extend("x-tr" = "Öncesinde bir sayfa var"))]
    pub has_prev: bool,
    /// Number of the first item shown, from 1; 0 when there is none
    #[schemars(extend("x-tr" = "Gösterilen ilk öğenin sırası, 1'den başlar; öğe yoksa 0"))]
    pub showing_from: u32,
    /// Number of the last item shown
    #[schemars(extend("x-tr" = "Gösterilen son öğenin sırası"))]
    pub showing_to: u32,
}

fn one() -> u32 {
    1
}

fn ten() -> u32 {
    10
}

impl Pagination {
    /// The page asked for, or the last one when it lies beyond the end.
    fn new(asked: u32, per_page: u32, total: u32) -> Self {
        let total_pages = total.div_ceil(per_page);
        let page = asked.min(total_pages).max(1);
        let before = (page - 1) * per_page; // below `total`, or 0
        Self {
            page,
            per_page,
            total_pages,
            has_next: page < total_pages,
            has_prev: page > 1,
            showing_from: if total == 0 { 0 } else { before + 1 },
            showing_to: before.saturating_add(per_page).min(total),
        }
    }
}

impl Action for ListClients {
    type Module = Core;
    type Output = ClientList;
    type Error = CoreError;
    const NAME: &'static str = "list_clients";
    const SUMMARY: Text = Text { en: "List clients", tr: "İstemcileri listele" };
    const EFFECT: Effect = Effect::Read;
    const EXAMPLE: &'static str = "page=2 per_page=20 search=john";
    const ERRORS: &'static [&'static str] = &[];

    fn run(self, core: &Core, _: &Call) -> Result<ClientList, CoreError> {
        let search = self.search.as_deref();
        let (server, page, pagination) = core.engine().read(|state| {
            let total = state.page(search, 0, 0)?.total;
            let pagination = Pagination::new(self.page, self.per_page, total);
            let offset = pagination.showing_from.saturating_sub(1);
            let page = match search.filter(|_| self.names_first) {
                Some(text) => state.page_names_first(text, offset, self.per_page)?,
                None => state.page(search, offset, self.per_page)?,
            };
            Ok::<_, CoreError>((state.server()?, page, pagination))
        })?;
        let clients = server.map(|server| items(core.engine(), &server, page.clients)).unwrap_or_default();
        Ok(ClientList { total: page.total, clients, pagination })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(asked: u32, per_page: u32, total: u32) -> (u32, u32, bool, bool, u32, u32) {
        let p = Pagination::new(asked, per_page, total);
        (p.page, p.total_pages, p.has_next, p.has_prev, p.showing_from, p.showing_to)
    }

    #[test]
    fn page_beyond_the_end_is_the_last() {
        assert_eq!(shown(1, 10, 0), (1, 0, false, false, 0, 0));
        assert_eq!(shown(1, 10, 1), (1, 1, false, false, 1, 1));
        assert_eq!(shown(2, 10, 25), (2, 3, true, true, 11, 20));
        assert_eq!(shown(u32::MAX, 10, 25), (3, 3, false, true, 21, 25));
        assert_eq!(shown(1, 100_000, 25), (1, 1, false, false, 1, 25));
    }
}
