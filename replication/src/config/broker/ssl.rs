//! Broker keys for TLS.

use crate::config::definition::{Definition, definitions};

definitions! { SSL
    "ssl.allow.dn.changes": Boolean, "false", Any, Low, ReadOnly,
        "Whether a new certificate may have another distinguished name.";
    "ssl.allow.san.changes": Boolean, "false", Any, Low, ReadOnly,
        "Whether a new certificate may have other alternative names.";
    "ssl.cipher.suites": List, "", UniqueList, Medium, PerBroker,
        "Cipher suites that are offered; empty for all.";
    "ssl.client.auth": String, "none", OneOf(&["required", "requested", "none"]), Medium, PerBroker,
        "Whether clients must, may or need not show a certificate.";
    "ssl.enabled.protocols": List, "TLSv1.2,TLSv1.3", UniqueList, Medium, PerBroker,
        "TLS versions that are offered.";
    "ssl.endpoint.identification.algorithm": String, "https", Any, Low, PerBroker,
        "How the host name in the other side's certificate is checked; empty is not at all.";
    "ssl.engine.factory.class": Class, null, Any, Low, PerBroker,
        "Class that makes TLS engines.";
    "ssl.key.password": Password, null, Any, Medium, PerBroker,
        "Password of the private key.";
    "ssl.keymanager.algorithm": String, "SunX509", Any, Medium, PerBroker,
        "Algorithm that chooses the own certificate.";
    "ssl.keystore.certificate.chain": Password, null, Any, Medium, PerBroker,
        "Own certificate chain in PEM.";
    "ssl.keystore.key": Password, null, Any, Medium, PerBroker,
        "Own private key in PEM.";
    "ssl.keystore.location": String, null, Any, Medium, PerBroker,
        "File with the own key and certificates.";
    "ssl.keystore.password": Password, null, Any, Medium, PerBroker,
        "Password of the file with the own key.";
    "ssl.keystore.type": String, "JKS", Any, Medium, PerBroker,
        "Format of the file with the own key.";
    "ssl.principal.mapping.rules": String, "DEFAULT", Any, Low, ReadOnly,
        "Rules that make a short name of a certificate's distinguished name.";
    "ssl.protocol": String, "TLSv1.3", Any, Medium, PerBroker,
        "TLS version that is preferred.";
    "ssl.provider": String, null, Any, Medium, PerBroker,
        "Provider of the TLS implementation.";
    "ssl.secure.random.implementation": String, null, Any, Low, PerBroker,
        "Source of random numbers for TLS.";
    "ssl.trustmanager.algorithm": String, "PKIX", Any, Medium, PerBroker,
        "Algorithm that checks the other side's certificate.";
    "ssl.truststore.certificates": Password, null, Any, Medium, PerBroker,
        "Trusted certificates in PEM.";
    "ssl.truststore.location": String, null, Any, Medium, PerBroker,
        "File with the trusted certificates.";
    "ssl.truststore.password": Password, null, Any, Medium, PerBroker,
        "Password of the file with the trusted certificates.";
    "ssl.truststore.type": String, "JKS", Any, Medium, PerBroker,
        "Format of the file with the trusted certificates.";
}
