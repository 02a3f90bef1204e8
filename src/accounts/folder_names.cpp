#include "accounts/folder_names.hpp"

#include <algorithm>

#include "base/encoding.hpp"

namespace mallard::accounts {

namespace {

struct Language {
    std::string_view code;
    FolderNames names;
};

// In the order of the codes. Languages that WildDuck knows without names for all four are left out.
// clang-format off
constexpr Language languages[] = {
    {"ar", {"المرسل", "المهملات", "المسودات", "غير المرغوب"}},
    {"ast", {"Unviaos", "Papelera", "Borradores", "Puxarra"}},
    {"az", {"Göndərilənlər", "Səbət", "Qaralamalar", "Spam"}},
    {"be", {"Дасланыя", "Сметніца", "Чарнавікі", "Спам"}},
    {"bg", {"Изпратени", "Кошче", "Чернови", "Спам"}},
    {"bn", {"প্রেরিত(পাঠানো মেইল)", "ডাস্টবিন", "খসড়া", "আজেবাজে মেইল"}},
    {"br", {"Kaset", "Pod-lastez", "Brouilhedoù", "Stroboù"}},
    {"bs", {"Poslano", "Smeće", "Skice", "Spam"}},
    {"ca", {"Enviats", "Paperera", "Esborranys", "Correu brossa"}},
    {"cs", {"Odeslané", "Koš", "Rozepsané", "Spam"}},
    {"cy", {"Danfonwyd", "Sbwriel", "Drafftiau", "Sothach"}},
    {"da", {"Sendt post", "Papirkurv", "Kladder", "Spam"}},
    {"de", {"Gesendet", "Gelöscht", "Entwürfe", "Spam"}},
    {"el", {"Απεσταλμένα", "Κάδος Απορριμάτων", "Πρόχειρα", "Ανεπιθύμητα"}},
    {"en", {"Sent Mail", "Trash", "Drafts", "Junk"}},
    {"eo", {"Senditujo", "Rubujo", "Malnetujo", "Spamujo"}},
    {"es", {"Enviados", "Papelera", "Borradores", "No deseado"}},
    {"et", {"Saadetud kirjad", "Prügikast", "Mustandid", "Rämpspost"}},
    {"eu", {"Bidalitakoak", "Zakarrontzia", "Zirriborroak", "Zabor-posta"}},
    {"fa", {"ارسال شده", "زباله‌دان", "پیش‌نویس‌ها", "بنجل"}},
    {"fi", {"Lähetetyt", "Roskakori", "Luonnokset", "Roskaposti"}},
    {"fo", {"Sent", "Skrell", "Skitsur", "Møsn"}},
    {"fr", {"Envoyés", "Corbeille", "Brouillons", "Pourriels"}},
    {"fy", {"Ferstjoerd", "Jiskefet", "Konsepten", "Spam"}},
    {"ga", {"Amach", "Bosca bruscair", "Dréachtaí", "Dramhaíl"}},
    {"gl", {"Enviados", "Lixo", "Borradores", "Correo lixo"}},
    {"he", {"נשלח", "אשפה", "טיוטות", "זבל"}},
    {"hi", {"भेजा गया", "रद्दी", "ड्राफ़ट", "स्पैम"}},
    {"hr", {"Poslano", "Smeće", "Predlošci", "Spam"}},
    {"hu", {"Küldöttek", "Kuka", "Piszkozatok", "Kéretlen"}},
    {"hy", {"Ուղարկված", "Աղբարկղ", "Սևագրեր", "Թափոն"}},
    {"ia", {"Inviate", "Corbe a papiro", "Versiones provisori", "Posta indesirate"}},
    {"id", {"Terkirim", "Surat Terhapus", "Konsep", "Sampah"}},
    {"is", {"Sent", "Rusl", "Drög", "Ruslpóstur"}},
    {"it", {"Inviata", "Cestino", "Bozze", "Spam"}},
    {"ja", {"送信済み", "ごみ箱", "下書き", "迷惑メール"}},
    {"ka", {"გაგზავნილი", "წაშლილი", "დროებითი", "სპამი"}},
    {"km", {"សំបុត្រដែលបានបញ្ជូន", "ធុងសំរាម", "សំបុត្រពង្រៀង", "សំបុត្រមិនល្អ"}},
    {"ko", {"보낸 편지함", "지운 편지함", "임시 보관함", "스팸 편지함"}},
    {"ku", {"Şandî", "Çop", "Hilanînî", "Biikêrnehatî"}},
    {"lb", {"Verschéckt", "Poubelle", "Brouillonen", "Spam"}},
    {"lt", {"Išsiųsti laiškai", "Šiukšlinė", "Juodraščiai", "Brukalas"}},
    {"lv", {"Nosūtītās", "Papīrgrozs", "Uzmetumi", "Mēstules"}},
    {"mk", {"Пратени", "Корпа", "Непратени", "Ѓубре"}},
    {"ml", {"അയച്ചവ", "ചവറ്റുകുട്ട", "പൂര്‍ത്തിയാകാത്തവ", "ആവശ്യമില്ലാത്തവ"}},
    {"mn", {"Илгээсэн", "Хогийн сав", "Ноорог", "Спам"}},
    {"mr", {"पाठवलेले", "कचरा पेटी", "मसुदा", "नको असलेले कचरा संदेश"}},
    {"ms", {"Hantar", "Tong Sampah", "Draf", "Junk"}},
    {"nb", {"Sendt", "Slettet", "Kladd", "Spam"}},
    {"ne", {"पठईएका मेलहरु", "रद्दी टोकरी", "ड्राफ्टहरू", "स्पाम"}},
    {"nl", {"Verzonden berichten", "Prullenbak", "Concepten", "Spam"}},
    {"nn", {"Sendt", "Sletta", "Kladd", "Søppel"}},
    {"pl", {"Wysłane", "Kosz", "Kopie robocze", "Spam"}},
    {"ps", {"لېږل شوي ليکونه", "کثافت دانۍ", "بارليک", "جنک"}},
    {"pt", {"Enviados", "Lixeira", "Rascunhos", "Spam"}},
    {"ro", {"Trimise", "Gunoi", "Ciorne", "Spam"}},
    {"ru", {"Отправленные", "Корзина", "Черновики", "СПАМ"}},
    {"si", {"යැවූ", "ඉවතලන බඳුන", "කටු සටහන්", "සුන්බුන්"}},
    {"sk", {"Odoslané", "Kôš", "Koncepty", "Nevyžiadaná pošta"}},
    {"sl", {"Poslano", "Smeti", "Osnutki", "Neželena sporočila"}},
    {"sq", {"Të dërguar", "Hedhurina", "Skica", "Të pavlerë"}},
    {"sr", {"Послате", "Смеће", "Нацрти", "Отпад"}},
    {"sv", {"Skickat", "Papperskorg", "Utkast", "Skräp"}},
    {"ta", {"அனுப்பிய அஞ்சல்", "குப்பை", "வரைவுகள்", "எரிதம்"}},
    {"th", {"กล่องขาออก", "ถังขยะ", "กล่องจดหมายร่าง", "กล่องจดหมายขยะ"}},
    {"ti", {"ዝተለኣኸ", "እንዳጉሓፍ", "ወጡን ጽሑፍ", "እንዳቅንጠመንጢ"}},
    {"tr", {"Giden", "Çöp", "Taslak", "İstenmeyen"}},
    {"uk", {"Надіслані", "Кошик", "Чернетки", "Спам"}},
    {"uz", {"Jo`natilgan xatlar", "Savat", "Qoralama xatlar", "SPAM"}},
    {"vi", {"Đã gửi", "Thùng rác", "Thư nháp", "Thư rác"}},
    {"zh", {"寄件備份", "垃圾桶", "草稿匣", "垃圾郵件"}},
};
// clang-format on
static_assert(std::ranges::is_sorted(languages, {}, &Language::code));

constexpr FolderNames english = {"Sent Mail", "Trash", "Drafts", "Junk"};

}  // namespace

FolderNames folder_names(std::string_view language) {
    std::string const code = to_lower(language.substr(0, language.find('_')));
    auto const* const found = std::ranges::lower_bound(languages, std::string_view(code), {}, &Language::code);
    return found != std::end(languages) && found->code == code ? found->names : english;
}

}  // namespace mallard::accounts
