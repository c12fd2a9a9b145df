//! What a registry wants, and what to do about it. Pure.

use super::Scopes;
use super::challenge::Challenge;

/// The challenge that is met, of those that were given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    /// User and password with every request.
    Basic,
    /// A token.
    Bearer(Bearer),
}

/// Where to get a token, and what for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bearer {
    /// The token service, as the registry spells it; perhaps relative.
    pub(crate) realm: Option<String>,
    /// What the token service calls the registry.
    pub(crate) service: Option<String>,
    /// What the registry says the token has to be good for.
    pub(crate) scopes: Scopes,
    /// Whether the registry accepted the token and missed a scope in it.
    pub(crate) insufficient: bool,
}

impl Demand {
    /// Chooses the challenge to meet: Bearer where we are told where to get a token, since it shows the password to
    /// fewer, else Basic. `None` where there is nothing that we speak.
    pub(crate) fn of(challenges: &[Challenge]) -> Option<Self> {
        let bearers = || challenges.iter().filter(|challenge| challenge.scheme == "bearer").map(Bearer::of);
        let has_basic = challenges.iter().any(|challenge| challenge.scheme == "basic");
        bearers()
            .find(|bearer| bearer.realm.is_some())
            .map(Self::Bearer)
            .or_else(|| has_basic.then_some(Self::Basic))
            .or_else(|| bearers().next().map(Self::Bearer))
    }
}

impl Bearer {
    fn of(challenge: &Challenge) -> Self {
        let filled = |name| challenge.parameter(name).filter(|value: &&str| !value.is_empty());
        Self {
            realm: filled("realm").map(str::to_owned),
            // A longer one would not fit into the query of the request for a token.
            service: filled("service").filter(|name| name.len() <= MAX_SERVICE).map(str::to_owned),
            scopes: filled("scope").map(Scopes::read).unwrap_or_default(),
            insufficient: filled("error") == Some("insufficient_scope"),
        }
    }
}

/// What a request carried when it was answered by a 401.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Carried {
    /// No credentials.
    Nothing,
    /// What worked before: it may have expired, or been revoked.
    Remembered,
    /// A token got for this very request, with these scopes.
    Fresh(Scopes),
    /// The best that there is: a password, a token that was given to us as it is, or a second fresh token.
    Best,
}

/// Says whether a demand is worth meeting after this.
///
/// Once something new was refused, showing the same again only costs time, and may lock an account. A fresh token is
/// replaced where the registry names a scope that it was not asked for; the one after it is the [`Carried::Best`].
pub(crate) fn is_worth_meeting(carried: &Carried, demand: &Demand) -> bool {
    match (carried, demand) {
        (Carried::Nothing | Carried::Remembered, _) => true,
        (Carried::Best, _) | (Carried::Fresh(_), Demand::Basic) => false,
        (Carried::Fresh(scopes), Demand::Bearer(bearer)) => !scopes.covers(&bearer.scopes),
    }
}

/// How long the name of a service may be, in bytes; no service has a longer one.
const MAX_SERVICE: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::challenge::parse;

    fn demand(lines: &[&str]) -> Option<Demand> {
        Demand::of(&parse(lines.iter().map(|line| line.as_bytes())))
    }

    fn bearer(realm: Option<&str>, scopes: &str) -> Option<Demand> {
        let (realm, service) = (realm.map(str::to_owned), None);
        Some(Demand::Bearer(Bearer { realm, service, scopes: Scopes::read(scopes), insufficient: false }))
    }

    #[test]
    fn bearer_is_preferred_where_it_can_be_met() {
        for (lines, expected) in [
            (&[][..], None),
            (&[""], None),
            (&["Negotiate", "NTLM"], None),
            (&["Basic realm=\"r\""], Some(Demand::Basic)),
            (&["BASIC"], Some(Demand::Basic)),
            (&["Negotiate, Basic realm=\"r\""], Some(Demand::Basic)),
            (&["Bearer realm=\"/token\""], bearer(Some("/token"), "")),
            (&["Bearer realm=\"/token\",scope=\"\",service=\"\""], bearer(Some("/token"), "")),
            (&["Bearer realm=\"/token\",scope=\"aws\""], bearer(Some("/token"), "aws")),
            (&["Basic realm=\"r\"", "Bearer realm=\"/token\",scope=\"*\""], bearer(Some("/token"), "*")),
            (&["Basic realm=\"r\", Bearer realm=\"/token\""], bearer(Some("/token"), "")),
            (&["Bearer service=\"r\"", "Basic realm=\"r\""], Some(Demand::Basic)),
            (&["Bearer", "Bearer realm=\"/token\""], bearer(Some("/token"), "")),
            (&["Bearer realm=\"\""], bearer(None, "")),
        ] {
            assert_eq!(demand(lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn nothing_is_asked_for_twice() {
        let fresh = |scopes| Carried::Fresh(Scopes::read(scopes));
        let pull = "Bearer realm=\"/t\",scope=\"repository:a:pull\"";
        let push = "Bearer realm=\"/t\",scope=\"repository:a:pull,push\",error=\"insufficient_scope\"";
        for (carried, line, worth) in [
            (Carried::Nothing, "Basic", true),
            (Carried::Nothing, pull, true),
            (Carried::Remembered, "Basic", true),
            (Carried::Remembered, pull, true),
            (Carried::Best, "Basic", false),
            (Carried::Best, pull, false),
            (fresh("repository:a:pull"), pull, false),
            (fresh("repository:a:pull"), "Bearer realm=\"/t\"", false),
            (fresh("repository:a:pull"), push, true),
            (fresh("repository:a:pull,push"), push, false),
            (fresh("repository:a:pull"), "Basic", false),
        ] {
            let demand = demand(&[line]).expect(line);
            assert_eq!(is_worth_meeting(&carried, &demand), worth, "{carried:?}: {line}");
        }
    }
}
