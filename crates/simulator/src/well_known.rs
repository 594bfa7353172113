//! The ids and people that every simulated organisation has, whatever its seed: tests and the demo name them.

/// The simulated organisation's id at the provider.
pub const ORGANISATION: &str = "3f1c6a52-8d0e-4f5b-9a77-2c41d08be913";
/// What the organisation calls itself.
pub const ORGANISATION_NAME: &str = "Northwind";
/// The one directory (a local one) of the organisation.
pub const DIRECTORY: &str = "b1d5e0c4-52a3-4be4-9c1f-6f0f7b2ad601";
/// The verified and claimed domain of all managed accounts.
pub const DOMAIN: &str = "northwind.example";
/// The domain that was added but never verified; its accounts are not managed.
pub const UNVERIFIED_DOMAIN: &str = "partner.example";
/// The password of every person here.
pub const PASSWORD: &str = "correct horse battery staple";
/// The code that every enrolled factor shows, unless the factor is lost.
pub const FACTOR_CODE: &str = "314159";

/// The path of the admin console's page of an account, below the provider's address.
pub const ADMIN_PAGE: &str = "/fake/admin/users/{account_id}";
/// The path of the sign-in page, below the provider's address; `?email=` fills the address in.
pub const SIGN_IN_PAGE: &str = "/fake/sign-in";

/// The authentication policies, by the ids that the provider gives them.
pub mod policy {
    /// "Everyone": two-step verification mandatory, the default policy.
    pub const EVERYONE: &str = "0a6f3be1-47d2-4c39-8f0e-5be0c3d51101";
    /// "Engineering": mandatory too; a second home.
    pub const ENGINEERING: &str = "0a6f3be1-47d2-4c39-8f0e-5be0c3d51102";
    /// "Recovery": optional; the policy that accounts are lent to.
    pub const RECOVERY: &str = "0a6f3be1-47d2-4c39-8f0e-5be0c3d51103";
    /// "Single sign-on": delegated to an identity provider.
    pub const SINGLE_SIGN_ON: &str = "0a6f3be1-47d2-4c39-8f0e-5be0c3d51104";
    /// "Trial of 2023": mandatory in truth, but meant to be left out of the product's configuration.
    pub const UNMAPPED: &str = "0a6f3be1-47d2-4c39-8f0e-5be0c3d51105";
    /// "Guests": optional, and not the recovery policy.
    pub const GUESTS: &str = "0a6f3be1-47d2-4c39-8f0e-5be0c3d51106";
}

/// API keys of the organisation, unless the configuration names others.
pub mod key {
    /// Made without scopes: may call everything.
    pub const UNSCOPED: &str = "ATCTT3xFfGN0-simulated-unscoped";
    /// Made with the scopes that Homeward asks for; User management refuses it.
    pub const SCOPED: &str = "ATCTT3xFfGN0-simulated-scoped";
    /// Made with read scopes only (patrol's): it cannot move anyone.
    pub const READER: &str = "ATCTT3xFfGN0-simulated-reader";
}

/// A person whom every seed has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Person {
    /// The account's id at the provider.
    pub id: &'static str,
    /// The display name.
    pub name: &'static str,
    /// The e-mail address at the start.
    pub email: &'static str,
}

macro_rules! people {
    ($($(#[$doc:meta])* $constant:ident = $id:literal, $name:literal, $email:literal;)*) => {
        $($(#[$doc])* pub const $constant: Person = Person { id: $id, name: $name, email: $email };)*
        /// All of them, in the order in which the provider lists them.
        pub const PEOPLE: &[Person] = &[$($constant),*];
    };
}

people! {
    /// The story's user: mandatory policy, two-step verification *not enabled*, phone lost. Sign-in loops.
    STORY = "712020:6b0c1d9e-0f5a-4f57-9d62-a0e1c5d7f001", "Sam Okafor", "sam.okafor@northwind.example";
    /// Mandatory policy, factor enrolled, and the phone that shows its codes is lost.
    LOST_PHONE = "712020:6b0c1d9e-0f5a-4f57-9d62-a0e1c5d7f002", "Lena Fischer", "lena.fischer@northwind.example";
    /// One of two people of the same name: "Everyone", factor enrolled and lost, seen today.
    MIA_BERG = "712020:6b0c1d9e-0f5a-4f57-9d62-a0e1c5d7f003", "Mia Berg", "mia.berg@northwind.example";
    /// The other one: "Engineering", factor enrolled and in use, last seen five weeks ago.
    OTHER_MIA_BERG = "712020:6b0c1d9e-0f5a-4f57-9d62-a0e1c5d7f004", "Mia Berg", "mia.berg2@northwind.example";
    /// Not managed: the account's domain was never verified.
    UNMANAGED = "qm:4f0d7a3c:5e11|7f005", "Jonas Weber", "jonas.weber@partner.example";
    /// Managed, but suspended in the directory.
    SUSPENDED = "712020:6b0c1d9e-0f5a-4f57-9d62-a0e1c5d7f006", "Ida Holm", "ida.holm@northwind.example";
    /// Managed, but deactivated.
    DEACTIVATED = "712020:6b0c1d9e-0f5a-4f57-9d62-a0e1c5d7f007", "Omar Haddad", "omar.haddad@northwind.example";
    /// Synced from an identity provider and signed in there; the factor lives there.
    SINGLE_SIGN_ON = "712020:6b0c1d9e-0f5a-4f57-9d62-a0e1c5d7f008", "Yuki Tanaka", "yuki.tanaka@northwind.example";
    /// An organisation administrator, factor enrolled and lost.
    ADMINISTRATOR = "712020:6b0c1d9e-0f5a-4f57-9d62-a0e1c5d7f009", "Ruth Adler", "ruth.adler@northwind.example";
    /// Last seen 400 days ago, factor enrolled and lost.
    LONG_UNSEEN = "557058:6b0c1d9e-0f5a-4f57-9d62-a0e1c5d7f010", "Paul Stein", "paul.stein@northwind.example";
    /// In the policy that the configuration leaves out.
    UNMAPPED = "712020:6b0c1d9e-0f5a-4f57-9d62-a0e1c5d7f011", "Nils Lund", "nils.lund@northwind.example";
    /// In an optional policy that is not the recovery policy, factor enrolled and lost: no move is needed.
    GUEST = "712020:6b0c1d9e-0f5a-4f57-9d62-a0e1c5d7f012", "Carla Reyes", "carla.reyes@northwind.example";
    /// In "Engineering" without a factor: the login loop again, with another home.
    ENGINEER = "712020:6b0c1d9e-0f5a-4f57-9d62-a0e1c5d7f013", "Priya Nair", "priya.nair@northwind.example";
    /// Works at the help desk; nothing is wrong with this account.
    HELP_DESK = "712020:6b0c1d9e-0f5a-4f57-9d62-a0e1c5d7f014", "Hana Novak", "hana.novak@northwind.example";
    /// Approves; nothing is wrong with this account.
    APPROVER = "712020:6b0c1d9e-0f5a-4f57-9d62-a0e1c5d7f015", "Tom Riley", "tom.riley@northwind.example";
}

/// The address of the `n`-th (from 1) account of [`crate::SimulatorConfig::stranded`]: mandatory, no factor.
pub fn stranded_email(n: usize) -> String {
    format!("stranded.{n}@{DOMAIN}")
}

/// The address of the `n`-th (from 1) account of [`crate::SimulatorConfig::lost_phones`]: mandatory, factor lost.
pub fn lost_phone_email(n: usize) -> String {
    format!("lost.{n}@{DOMAIN}")
}
