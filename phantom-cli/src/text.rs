//! Texts that more than one screen says. What one screen says alone stands there.

use phantom_api::{Lang, Text};

const fn text(en: &'static str, tr: &'static str) -> Text {
    Text { en, tr }
}

pub(crate) const BACK: Text = text("Back", "Geri");
pub(crate) const EXIT: Text = text("Exit", "Çıkış");
pub(crate) const CONTINUE: Text = text("Continue", "Devam");
pub(crate) const SURE: Text = text("Are you sure? (y/N)", "Emin misiniz? (e/H)");
pub(crate) const INVALID_CHOICE: Text = text("Invalid choice", "Geçersiz seçim");
pub(crate) const REFRESH: Text = text("Refresh", "Yenile");
pub(crate) const HELP: Text = text("Help", "Yardım");
pub(crate) const SELECT: Text = text("Select", "Seç");
pub(crate) const SCROLL: Text = text("Scroll", "Kaydır");
pub(crate) const CANCELLED: Text = text("Cancelled", "İptal edildi");
pub(crate) const WORKING: Text = text("Working…", "Çalışılıyor…");
pub(crate) const RUNNING: Text = text("Running", "Çalışıyor");
pub(crate) const STOPPED: Text = text("Stopped", "Durdu");
pub(crate) const ACTIVE: Text = text("Active", "Aktif");
pub(crate) const INACTIVE: Text = text("Inactive", "Pasif");
pub(crate) const CONNECTED: Text = text("Connected", "Bağlı");
pub(crate) const OFFLINE: Text = text("Offline", "Çevrimdışı");
pub(crate) const YES: Text = text("Yes", "Evet");
pub(crate) const NO: Text = text("No", "Hayır");
pub(crate) const CLIENTS: Text = text("Clients", "İstemciler");
pub(crate) const CLIENT_NAME: Text = text("Client name", "İstemci adı");
pub(crate) const NO_CLIENTS: Text = text("No clients yet", "Henüz istemci yok");
pub(crate) const NAME: Text = text("Name", "Ad");
pub(crate) const ADDRESS: Text = text("IP Address", "IP Adresi");
pub(crate) const STATE: Text = text("Status", "Durum");
pub(crate) const CREATED: Text = text("Created", "Oluşturulma");
pub(crate) const SAVE: Text = text("Save to file", "Dosyaya kaydet");
pub(crate) const COPY: Text = text("Copy", "Kopyala");
pub(crate) const QR_CODE: Text = text("QR code", "QR kodu");
pub(crate) const INTERRUPTS: Text =
    text("All connected clients will be interrupted", "Bağlı tüm istemcilerin bağlantısı kesilecek");
pub(crate) const INTERRUPTS_MAYBE: Text =
    text("Connected clients may be interrupted", "Bağlı istemcilerin bağlantısı kesilebilir");
pub(crate) const FETCH_AGAIN: Text =
    text("Clients must fetch their configuration again", "İstemciler yapılandırmalarını yeniden almalıdır");
pub(crate) const FINAL: Text = text("This cannot be undone", "Bu işlem geri alınamaz");
pub(crate) const TERMINAL_REQUIRED: Text = text("A terminal is required", "Terminal gerekli");
pub(crate) const ROOT_REQUIRED: Text = text("Root privileges are required", "Root yetkisi gerekir");
pub(crate) const NOT_SET_UP: Text = text("Not set up yet", "Henüz kurulmadı");
pub(crate) const LEAVE: Text = text("Leave Phantom-WG?", "Phantom-WG'den çıkılsın mı?");
pub(crate) const SERVER_RUNS_ON: Text = text("The server goes on running.", "Sunucu çalışmayı sürdürür.");

/// `Total: 12`.
pub(crate) fn total(lang: Lang, n: u64) -> String {
    format!("{}: {n}", lang.pick("Total", "Toplam"))
}

/// `Page 2/10`.
pub(crate) fn page(lang: Lang, page: u64, pages: u64) -> String {
    format!("{} {page}/{pages}", lang.pick("Page", "Sayfa"))
}

/// Yes or no.
pub(crate) fn yes(lang: Lang, value: bool) -> String {
    if value { YES } else { NO }.get(lang).to_owned()
}

/// A time stamp of an answer, to the second.
pub(crate) fn moment(stamp: &str) -> String {
    stamp.get(..19).unwrap_or(stamp).replace('T', " ")
}
