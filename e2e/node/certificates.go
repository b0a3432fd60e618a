package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// certificates are the node's own CA and what it signed, as PEM files.
type certificates struct {
	ca, serverCert, serverKey, clientCert, clientKey string // paths
}

// issue writes new certificates into dir, good for a day.
func issue(dir, nodeName string) (certificates, error) {
	files := certificates{
		ca: filepath.Join(dir, "ca.crt"), serverCert: filepath.Join(dir, "kubelet.crt"), serverKey: filepath.Join(dir, "kubelet.key"),
		clientCert: filepath.Join(dir, "client.crt"), clientKey: filepath.Join(dir, "client.key"),
	}
	now := time.Now()
	template := func(serial int64, subject pkix.Name) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: subject,
			NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		}
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return files, fmt.Errorf("certificates: %w", err)
	}
	ca := template(1, pkix.Name{CommonName: "staticpod-node-ca"})
	ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = true, true, x509.KeyUsageCertSign
	if err := sign(ca, ca, caKey, caKey, files.ca, ""); err != nil {
		return files, err
	}
	server := template(2, pkix.Name{CommonName: "system:node:" + nodeName, Organization: []string{"system:nodes"}})
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	server.DNSNames, server.IPAddresses = []string{nodeName, "localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)}
	client := template(3, pkix.Name{CommonName: "staticpod-exporter"})
	client.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	for _, leaf := range []struct {
		template  *x509.Certificate
		cert, key string
	}{{server, files.serverCert, files.serverKey}, {client, files.clientCert, files.clientKey}} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return files, fmt.Errorf("certificates: %w", err)
		}
		if err := sign(leaf.template, ca, key, caKey, leaf.cert, leaf.key); err != nil {
			return files, err
		}
	}
	return files, nil
}

// sign writes the certificate of key, and the key unless keyFile is empty.
func sign(template, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey, certFile, keyFile string) error {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	if err := os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	if keyFile == "" {
		return nil
	}
	if der, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	if err := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	return nil
}
