//! A certificate authority of a test's own.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use homeward_chassis::config::Secret;
use homeward_chassis::rpc::Identity;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

pub struct Authority {
    folder: PathBuf,
    ca: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// Keeps everything in `folder`.
    pub fn new(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(folder.join("ca.pem"), ca.pem()).unwrap();
        Self { folder: folder.to_owned(), ca }
    }

    pub fn ca_file(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// `<role>.pem` and `<role>.key`, for a process of that role on this machine.
    pub fn issue(&self, role: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let names = vec![format!("{role}.homeward.internal"), "localhost".to_owned()];
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.ca).unwrap();
        let (file, key_file) = (self.folder.join(format!("{role}.pem")), self.folder.join(format!("{role}.key")));
        std::fs::write(&file, certificate.pem()).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        std::fs::set_permissions(&key_file, std::fs::Permissions::from_mode(0o600)).unwrap();
        Identity { ca_file: self.ca_file(), certificate_file: file, key: Secret::new(key.serialize_pem()) }
    }
}
