//! TLS and what stands in front of the gateway, from the configuration.

use crate::config::{Config, Http, HttpTls, TcpListener};
use crate::error::UsageError;
use tolmach_server::{Tls, TlsOptions};

/// TLS of the public listener, with its certificate read; `None` where it is off.
pub(crate) fn tls(http: &Http) -> Result<Option<Tls>, UsageError> {
    let HttpTls { certificate, key, hsts_max_age } = &http.tls;
    if !http.tls.is_enabled() {
        return Ok(None);
    }
    let (certificate_key, key_key) = ("http.tls.certificate", "http.tls.key");
    for (path, key, other) in
        [(certificate, certificate_key, key_key), (key, key_key, certificate_key)]
    {
        if path.as_os_str().is_empty() {
            return Err(UsageError::MissingBeside { key, other });
        }
    }
    let options = TlsOptions {
        certificate: certificate.clone(),
        key: key.clone(),
        hsts_max_age: Some(*hsts_max_age).filter(|age| !age.is_zero()),
    };
    Ok(Some(Tls::open(options)?))
}

/// Checks that there is a certificate for each raw TCP listener that needs one.
pub(crate) fn check_tcp(config: &Config) -> Result<(), UsageError> {
    let TcpListener { listen, tls } = &config.tcp.sndmsg;
    if !listen.is_empty() && *tls && !config.http.tls.is_enabled() {
        let (key, other) = ("http.tls.certificate", "tcp.sndmsg.tls");
        return Err(UsageError::MissingBeside { key, other });
    }
    Ok(())
}

/// Checks that it is known from where headers of the PROXY protocol come.
pub(crate) fn check_proxy_protocol(http: &Http) -> Result<(), UsageError> {
    if http.proxy_protocol && http.trusted_proxies.is_empty() {
        let (key, other) = ("http.trusted_proxies", "http.proxy_protocol");
        return Err(UsageError::MissingBeside { key, other });
    }
    Ok(())
}
