//! What people of a tea house say, by language and side. `#` becomes a number.

use super::Language;
use super::dice::pick;
use crate::wamid::Author;

/// One line, with its number filled in.
pub(super) fn line(language: Language, author: Author, rolled: u64) -> String {
    let phrases = match author {
        Author::Customer => customers(language),
        Author::Business => answers(language),
    };
    let number = 1 + (rolled >> 16) % 40;
    pick(phrases, rolled)
        .unwrap_or_default()
        .replace('#', &number.to_string())
}

fn customers(language: Language) -> &'static [&'static str] {
    match language {
        Language::English => &[
            "Hello",
            "Is the shop open today?",
            "Do you have Darjeeling first flush?",
            "I need # packets of masala chai by Friday.",
            "What is the price for # kg?",
            "Where is my order no. #?",
            "The parcel came, thank you!",
            "One packet was torn, can you replace it?",
            "Please share your UPI id",
            "ok 👍",
        ],
        Language::Hindi => &[
            "नमस्ते",
            "दुकान कब खुलेगी?",
            "# पैकेट चाय चाहिए",
            "कीमत क्या है?",
            "मेरा ऑर्डर कहाँ है?",
            "धन्यवाद 🙏",
        ],
        Language::Hinglish => &[
            "Namaste bhaiya",
            "Dukaan khuli hai kya?",
            "# packet chai bhej dena please",
            "Rate kya hai aaj ka?",
            "Order no. # kab tak aayega?",
            "Mil gaya, thank you ji",
            "Thoda discount milega kya?",
            "UPI kar diya, check karo",
        ],
        Language::Marathi => &[
            "नमस्कार",
            "दुकान उघडे आहे का?",
            "# पॅकेट चहा हवा आहे",
            "किंमत किती आहे?",
            "ऑर्डर कधी येईल?",
            "धन्यवाद",
        ],
        Language::Tamil => &[
            "வணக்கம்",
            "கடை திறந்திருக்கா?",
            "# பாக்கெட் தேயிலை வேண்டும்",
            "விலை என்ன?",
            "நன்றி",
        ],
    }
}

fn answers(language: Language) -> &'static [&'static str] {
    match language {
        Language::English => &[
            "Good morning! How can I help?",
            "Yes, we are open until # today.",
            "We have # packets left.",
            "It is 4#0 rupees a kilo.",
            "Your order goes out tomorrow.",
            "Sorry about that, we will send a new one.",
            "Thank you!",
        ],
        Language::Hindi => &["नमस्ते जी", "हाँ, दुकान खुली है", "# रुपये", "कल भेज देंगे"],
        Language::Hinglish => &[
            "Ji boliye",
            "Haan khula hai, # baje tak",
            "Kal bhej denge",
            "Payment mil gaya, thank you",
            "# packet bache hain",
        ],
        Language::Marathi => &["नमस्कार, बोला", "हो, उघडे आहे", "उद्या पाठवतो"],
        Language::Tamil => &["வணக்கம், சொல்லுங்கள்", "ஆம், திறந்திருக்கு", "நாளை அனுப்புகிறோம்"],
    }
}
