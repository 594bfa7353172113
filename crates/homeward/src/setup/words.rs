//! What an administrator has to know, in plain words. `docs/atlassian.md` says the same at length.

/// At the beginning.
pub const WELCOME: &str = "\
This writes Homeward's configuration for one Atlassian organisation and tries it out. Nothing is changed at Atlassian.
You need: an organisation administrator, Atlassian Guard Standard (a plan with more than one authentication policy), and the
page https://admin.atlassian.com open beside this.
";

/// Before the organisation's id is asked.
pub const ORGANISATION: &str = "
The organisation's id stands in the address of its admin pages, https://admin.atlassian.com/o/<id>/…, and beside each API key.
";

/// Before the keys are asked.
pub const KEYS: &str = "
Keys are made at Organisation settings > API keys. A key is shown once, lasts a year at most, and a week if you do not choose.
  The API key: with the scopes write:policies:admin, read:accounts:admin, read:directories:admin, read:domains:admin,
    read:events:admin and read:keys:admin; or without scopes.
  A key without scopes: Atlassian refuses keys with scopes for disabling accounts and for an account's own tokens, and perhaps
    for reading policies. Needed only if the API key has scopes.
  Patrol's key: a key of its own, so that patrol can see what happens when the other is revoked. It only reads.
";

/// Before the policies are asked.
pub const POLICIES: &str = "
Policies are made at Security > Authentication policies. Two kinds are needed:
  The recovery policy: two-step verification *optional*, no members, in the same directory as the accounts, not the default
    policy. Accounts are lent to it for a few hours.
  Home policies: two-step verification *mandatory*. Accounts are lent from there and returned there.
Atlassian has no call that lists policies. Give a policy's id (it stands in the address of its page), or the e-mail address of an
account that is in it: then its id is read.
";

/// What no call can tell.
pub const CANNOT_CHECK: &str = "
Homeward cannot check by any call, so please look at each page now:
  - that two-step verification is optional in the recovery policy, and that its password and session rules suit a few hours;
  - that it is mandatory in every home policy;
  - that the recovery policy is in the same directory as the home policies, and is not the default policy;
  - whether single sign-on is enforced for a policy;
  - who else is in the recovery policy: only reading every account tells.
";

/// What is judged only later.
pub const LATER: &str = "\
Not judged yet, because both need a move: whether a task can be read, and whether a placement's version grows. Homeward judges
them at the first lend and return, and says so.
";
