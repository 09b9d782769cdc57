//! Broker keys for authentication and authorisation.

use crate::config::definition::{Definition, definitions};

definitions! { SECURITY
    "authorizer.class.name": String, "", Any, Low, ReadOnly,
        "Class that decides who may do what; empty lets everyone do everything.";
    "connections.max.reauth.ms": Long, "0", Any, Medium, ReadOnly,
        "Time after which a client must authenticate again (KIP-368); 0 is never.";
    "delegation.token.expiry.check.interval.ms": Long, "3600000", AtLeast(1), Low, ReadOnly,
        "How often expired delegation tokens are removed.";
    "delegation.token.expiry.time.ms": Long, "86400000", AtLeast(1), Medium, ReadOnly,
        "Time after which a delegation token must be renewed.";
    "delegation.token.max.lifetime.ms": Long, "604800000", AtLeast(1), Medium, ReadOnly,
        "Time beyond which a delegation token cannot be renewed.";
    "delegation.token.secret.key": Password, null, Any, Medium, ReadOnly,
        "Secret that delegation tokens are signed with; all nodes share it.";
    "principal.builder.class": Class,
        "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder", Any, Medium, PerBroker,
        "Class that makes a principal of an authenticated connection.";
    "security.inter.broker.protocol": String,
        "PLAINTEXT", OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]), Medium, ReadOnly,
        "Security protocol between brokers, if inter.broker.listener.name is not given.";
    "security.providers": String, null, Any, Low, ReadOnly,
        "Classes that add security algorithms.";
    "sasl.client.callback.handler.class": Class, null, Any, Medium, ReadOnly,
        "Class that answers the callbacks of the node's own SASL client.";
    "sasl.enabled.mechanisms": List, "GSSAPI", UniqueList, Medium, PerBroker,
        "SASL mechanisms that clients may use.";
    "sasl.jaas.config": Password, null, Any, Medium, PerBroker,
        "Login context for SASL in the JAAS notation.";
    "sasl.kerberos.kinit.cmd": String, "/usr/bin/kinit", Any, Medium, PerBroker,
        "Command that gets a Kerberos ticket.";
    "sasl.kerberos.min.time.before.relogin": Long, "60000", Any, Medium, PerBroker,
        "Least time between two attempts to refresh a Kerberos ticket.";
    "sasl.kerberos.principal.to.local.rules": List, "DEFAULT", UniqueList, Medium, PerBroker,
        "Rules that make a short name of a Kerberos principal.";
    "sasl.kerberos.service.name": String, null, Any, Medium, PerBroker,
        "Kerberos principal name that brokers run under.";
    "sasl.kerberos.ticket.renew.jitter": Double, "0.05", Any, Medium, PerBroker,
        "Random share added to the time of a ticket's renewal.";
    "sasl.kerberos.ticket.renew.window.factor": Double, "0.8", Any, Medium, PerBroker,
        "Share of a ticket's life after which it is renewed.";
    "sasl.login.callback.handler.class": Class, null, Any, Medium, ReadOnly,
        "Class that answers the callbacks of a SASL login.";
    "sasl.login.class": Class, null, Any, Medium, ReadOnly,
        "Class that logs in for SASL.";
    "sasl.login.connect.timeout.ms": Int, null, Any, Low, ReadOnly,
        "How long connecting to an authentication provider may take.";
    "sasl.login.read.timeout.ms": Int, null, Any, Low, ReadOnly,
        "How long an authentication provider may take to answer.";
    "sasl.login.refresh.buffer.seconds": Short, "300", Any, Medium, PerBroker,
        "Time before its expiry by which a credential is refreshed.";
    "sasl.login.refresh.min.period.seconds": Short, "60", Any, Medium, PerBroker,
        "Least time between two refreshes of a credential.";
    "sasl.login.refresh.window.factor": Double, "0.8", Any, Medium, PerBroker,
        "Share of a credential's life after which it is refreshed.";
    "sasl.login.refresh.window.jitter": Double, "0.05", Any, Medium, PerBroker,
        "Random share added to the time of a credential's refresh.";
    "sasl.login.retry.backoff.max.ms": Long, "10000", Any, Low, ReadOnly,
        "Longest wait between two attempts to log in.";
    "sasl.login.retry.backoff.ms": Long, "100", Any, Low, ReadOnly,
        "First wait between two attempts to log in.";
    "sasl.mechanism.controller.protocol": String, "GSSAPI", Any, High, ReadOnly,
        "SASL mechanism towards controllers.";
    "sasl.mechanism.inter.broker.protocol": String, "GSSAPI", Any, Medium, PerBroker,
        "SASL mechanism between brokers.";
    "sasl.oauthbearer.allow.unverified.audience": Boolean, "false", Any, Medium, ReadOnly,
        "Whether tokens are accepted although no audience is expected.";
    "sasl.oauthbearer.allow.unverified.issuer": Boolean, "false", Any, Medium, ReadOnly,
        "Whether tokens are accepted although no issuer is expected.";
    "sasl.oauthbearer.assertion.algorithm": String, "RS256", OneOfAnyCase(&["ES256", "RS256"]), Medium, ReadOnly,
        "Algorithm that client assertions are signed with.";
    "sasl.oauthbearer.assertion.claim.aud": String, null, Any, Medium, ReadOnly,
        "Audience of a client assertion.";
    "sasl.oauthbearer.assertion.claim.exp.seconds": Int, "300", Between(0, 86_400), Low, ReadOnly,
        "Life of a client assertion.";
    "sasl.oauthbearer.assertion.claim.iss": String, null, Any, Medium, ReadOnly,
        "Issuer of a client assertion.";
    "sasl.oauthbearer.assertion.claim.jti.include": Boolean, "false", Any, Medium, ReadOnly,
        "Whether a client assertion carries a unique id.";
    "sasl.oauthbearer.assertion.claim.nbf.seconds": Int, "60", Between(0, 3600), Low, ReadOnly,
        "How far back the start of a client assertion's life is set.";
    "sasl.oauthbearer.assertion.claim.sub": String, null, Any, Medium, ReadOnly,
        "Subject of a client assertion.";
    "sasl.oauthbearer.assertion.file": String, null, Any, Medium, ReadOnly,
        "File with a ready client assertion.";
    "sasl.oauthbearer.assertion.private.key.file": String, null, Any, Medium, ReadOnly,
        "File with the key that client assertions are signed with.";
    "sasl.oauthbearer.assertion.private.key.passphrase": Password, null, Any, Medium, ReadOnly,
        "Passphrase of the key that client assertions are signed with.";
    "sasl.oauthbearer.assertion.template.file": String, null, Any, Medium, ReadOnly,
        "File with headers and claims for client assertions.";
    "sasl.oauthbearer.client.credentials.client.id": String, null, Any, Medium, ReadOnly,
        "Client id for the client credentials grant.";
    "sasl.oauthbearer.client.credentials.client.secret": Password, null, Any, Medium, ReadOnly,
        "Client secret for the client credentials grant.";
    "sasl.oauthbearer.clock.skew.seconds": Int, "30", Any, Low, ReadOnly,
        "Difference between clocks that is tolerated in a token's times.";
    "sasl.oauthbearer.expected.audience": List, "", UniqueList, High, ReadOnly,
        "Audiences of which a token must have one.";
    "sasl.oauthbearer.expected.issuer": String, null, Any, High, ReadOnly,
        "Issuer that a token must have.";
    "sasl.oauthbearer.jwks.endpoint.refresh.ms": Long, "3600000", Any, Low, ReadOnly,
        "How often the keys of the token issuer are fetched again.";
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms": Long, "10000", Any, Low, ReadOnly,
        "Longest wait between two attempts to fetch the issuer's keys.";
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms": Long, "100", Any, Low, ReadOnly,
        "First wait between two attempts to fetch the issuer's keys.";
    "sasl.oauthbearer.jwks.endpoint.url": String, null, Any, Medium, ReadOnly,
        "Where the keys of the token issuer are found.";
    "sasl.oauthbearer.jwt.retriever.class": Class,
        "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever", Any, Medium, ReadOnly,
        "Class that gets tokens.";
    "sasl.oauthbearer.jwt.validator.class": Class,
        "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator", Any, Medium, ReadOnly,
        "Class that checks tokens.";
    "sasl.oauthbearer.scope": String, null, Any, Medium, ReadOnly,
        "Scope that the node's own logins ask for.";
    "sasl.oauthbearer.scope.claim.name": String, "scope", Any, Low, ReadOnly,
        "Claim in which a token has its scope.";
    "sasl.oauthbearer.sub.claim.name": String, "sub", Any, Low, ReadOnly,
        "Claim in which a token has its subject.";
    "sasl.oauthbearer.token.endpoint.url": String, null, Any, Medium, ReadOnly,
        "Where tokens are got from.";
    "sasl.server.callback.handler.class": Class, null, Any, Medium, ReadOnly,
        "Class that answers the callbacks of the SASL server.";
    "sasl.server.max.receive.size": Int, "524288", Any, Medium, ReadOnly,
        "Largest SASL message that is read before a client is authenticated.";
}
