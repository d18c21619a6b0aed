//! The table that every enum of causes is made from.

/// Makes a flat enum, one variant per cause, with its name for logs, its RFC section and its sentence.
macro_rules! causes {
    (
        $(#[$doc:meta])*
        $name:ident { $( $variant:ident, $text:literal, $rfc:literal, $detail:literal; )+ }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $( #[doc = $detail] #[doc = ""] #[doc = concat!("(", $rfc, ")")] $variant, )+
        }

        impl $name {
            /// Every cause, in the order of the table.
            pub const ALL: &[Self] = &[$( Self::$variant, )+];

            /// The name that logs and counters use, in snake_case.
            pub fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $text, )+ }
            }

            /// The section that the rule comes from.
            pub fn rfc(self) -> &'static str {
                match self { $( Self::$variant => $rfc, )+ }
            }

            /// One sentence for people.
            pub fn detail(self) -> &'static str {
                match self { $( Self::$variant => $detail, )+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::error::Error for $name {}
    };
}

pub(crate) use causes;
