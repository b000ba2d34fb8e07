//! What is made from the table of options. Knows none of them, and names what stands beside the table.

/// Makes from the table: one struct per section, [`Config`], [`SECTIONS`], [`OPTIONS`] and the reading of all values.
macro_rules! options {
    ($(#[doc = $about:literal] $section:ident $title:ident {
        $($field:ident $(($alias:literal))?: $kind:ty = $default:expr, $history:expr, $help:literal;)*
    })*) => {
        $(
            #[doc = $about]
            #[derive(Clone, Debug, PartialEq)]
            pub struct $title {
                $(#[doc = $help] pub $field: <$kind as ValueType>::Value,)*
            }

            #[allow(non_upper_case_globals)]
            impl $title {
                $(const $field: OptionEntry = OptionEntry {
                    section: stringify!($section),
                    key: {
                        const FIELD: &str = bare(stringify!($field));
                        const KEY: [u8; FIELD.len()] = dashed(FIELD);
                        match std::str::from_utf8(&KEY) {
                            Ok(key) => key,
                            Err(_) => FIELD,
                        }
                    },
                    alias: [$(Some($alias),)? None][0],
                    default: $default,
                    quoted: <$kind as ValueType>::QUOTED,
                    history: $history,
                    help: $help,
                    text: |config, place| <$kind as ValueType>::print(&config.$section.$field, place),
                };)*
            }
        )*

        /// The value of every option. A field has the option's name with underscores for dashes.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config {
            $(#[doc = $about] pub $section: $title,)*
        }

        impl Config {
            /// Reads every option from what was given, or takes its default. One that is wrong has its default and is noted.
            /// None where a default itself cannot be had.
            pub(super) fn read(given: &impl Texts, place: &PathContext, wrong: &mut Mistakes) -> Option<Config> {
                Some(Config {
                    $($section: $title { $($field: given.read::<$kind>(&$title::$field, place, wrong)?,)* },)*
                })
            }
        }

        /// Every section with its subject.
        pub const SECTIONS: &[(&str, &str)] = &[$((stringify!($section), $about),)*];

        /// Every option, ordered by section and name.
        pub const OPTIONS: &[&OptionEntry] = &[$($(&$title::$field,)*)*];
    };
}

pub(super) use options;
