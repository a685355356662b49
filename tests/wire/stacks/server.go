// A server of Go's TLS: CERTIFICATE KEY PORT. It answers the first line of each connection.
package main

import (
	"crypto/tls"
	"os"
)

func main() {
	pair, err := tls.LoadX509KeyPair(os.Args[1], os.Args[2])
	if err != nil {
		panic(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:"+os.Args[3], &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		panic(err)
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			continue
		}
		go func() {
			connection.Read(make([]byte, 4096))
			connection.Write([]byte("HTTP/1.0 200 OK\r\n\r\nhello"))
			connection.Close()
		}()
	}
}
