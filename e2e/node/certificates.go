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

	authority *x509.Certificate
	key       *ecdsa.PrivateKey // the authority's
	issued    int64             // serial numbers
}

// issue writes new certificates into dir, good for a day.
func issue(dir, nodeName string) (certificates, error) {
	files := certificates{
		ca: filepath.Join(dir, "ca.crt"), serverCert: filepath.Join(dir, "kubelet.crt"), serverKey: filepath.Join(dir, "kubelet.key"),
		clientCert: filepath.Join(dir, "client.crt"), clientKey: filepath.Join(dir, "client.key"),
	}
	var err error
	if files.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return files, fmt.Errorf("certificates: %w", err)
	}
	ca := files.template(pkix.Name{CommonName: "staticpod-node-ca"})
	ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = true, true, x509.KeyUsageCertSign
	if files.authority, err = sign(ca, ca, files.key, files.key, files.ca, ""); err != nil {
		return files, err
	}
	server := files.template(pkix.Name{CommonName: "system:node:" + nodeName, Organization: []string{"system:nodes"}})
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	server.DNSNames, server.IPAddresses = []string{nodeName, "localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)}
	if err := files.leaf(server, files.serverCert, files.serverKey); err != nil {
		return files, err
	}
	return files, files.forClient("staticpod-exporter", nil, files.clientCert, files.clientKey)
}

// forClient writes a client's certificate and its key.
func (c *certificates) forClient(user string, groups []string, certFile, keyFile string) error {
	client := c.template(pkix.Name{CommonName: user, Organization: groups})
	client.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return c.leaf(client, certFile, keyFile)
}

// serviceAccountKeys writes what an API server signs the tokens of service accounts with.
func (c *certificates) serviceAccountKeys(keyFile, publicFile string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	if err := os.WriteFile(publicFile, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o644); err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	return writeKey(key, keyFile)
}

func (c *certificates) template(subject pkix.Name) *x509.Certificate {
	c.issued++
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(c.issued), Subject: subject,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
	}
}

// leaf makes a key and has the authority sign its certificate.
func (c *certificates) leaf(template *x509.Certificate, certFile, keyFile string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	_, err = sign(template, c.authority, key, c.key, certFile, keyFile)
	return err
}

// sign writes the certificate of key, and the key unless keyFile is empty.
func sign(template, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey, certFile, keyFile string) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		return nil, fmt.Errorf("certificates: %w", err)
	}
	if err := os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		return nil, fmt.Errorf("certificates: %w", err)
	}
	if keyFile != "" {
		if err := writeKey(key, keyFile); err != nil {
			return nil, err
		}
	}
	return x509.ParseCertificate(der)
}

func writeKey(key *ecdsa.PrivateKey, file string) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	return nil
}
