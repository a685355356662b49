// A client of Go's TLS: each argument is PORT,NAME,trust or PORT,NAME,check; it says a line and leaves.
package main

import (
	"crypto/tls"
	"net"
	"os"
	"strings"
	"time"
)

func main() {
	for _, argument := range os.Args[1:] {
		words := strings.Split(argument, ",")
		dialer := &net.Dialer{Timeout: 3 * time.Second}
		config := &tls.Config{ServerName: words[1], InsecureSkipVerify: words[2] == "trust"}
		connection, err := tls.DialWithDialer(dialer, "tcp", "127.0.0.1:"+words[0], config)
		if err != nil {
			continue
		}
		connection.SetDeadline(time.Now().Add(2 * time.Second))
		connection.Write([]byte("GET / HTTP/1.0\r\n\r\n"))
		connection.Read(make([]byte, 4096))
		connection.Close()
	}
}
