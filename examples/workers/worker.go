// Measure one TCP connection and send the result: go run worker.go COORDINATOR HOST PORT
package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

func main() {
	coordinator, host, port := os.Args[1], os.Args[2], os.Args[3]
	began := time.Now()
	connection, err := net.DialTimeout("tcp", net.JoinHostPort(host, port), 5*time.Second)
	if err != nil {
		panic(err)
	}
	latency := time.Since(began).Seconds() * 1000
	connection.Close()
	hostname, _ := os.Hostname()
	message, _ := json.Marshal(map[string]any{
		"latency": latency, "hostname": hostname, "lang": "go", "timestamp": time.Now().Unix(),
		"technique": "TCP_CONNECT", "destination": host,
	})
	request, _ := http.NewRequest("POST", coordinator+"/v1/measurements", bytes.NewReader(message))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+os.Getenv("KEY"))
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		panic(err)
	}
	io.Copy(os.Stdout, answer.Body)
	if answer.StatusCode != 202 {
		os.Exit(1)
	}
}
