// A baseline: a relay in Go with gorilla/websocket, written the way most people write one: a goroutine that reads for
// each peer, a mutex for the rooms, and one for what is written to each peer. It speaks enough of docs/PROTOCOL.md for a
// client: join, ready, and what is passed on. It limits nothing, times nothing out and pings nobody, so it has less to do
// than the relay that it is compared with. Not to be run for real.
//
// It listens on a free port of the loopback, with TLS where TLS_CERT and TLS_KEY name files.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"

	"github.com/gorilla/websocket"
)

type peer struct {
	socket *websocket.Conn
	// gorilla/websocket takes one writer at a time.
	writing sync.Mutex
}

func (to *peer) send(text []byte) {
	to.writing.Lock()
	defer to.writing.Unlock()
	// A socket that broke is noticed by its reader.
	_ = to.socket.WriteMessage(websocket.TextMessage, text)
}

type message struct {
	Type        string `json:"type"`
	SessionCode string `json:"sessionCode"`
}

var (
	lock  sync.Mutex
	rooms = map[string][]*peer{}
)

// join puts a peer into a room, and returns all that are in it; nobody where it was full.
func join(code string, newcomer *peer) []*peer {
	lock.Lock()
	defer lock.Unlock()
	if len(rooms[code]) == 2 {
		return nil
	}
	rooms[code] = append(rooms[code], newcomer)
	return append([]*peer{}, rooms[code]...)
}

func leave(code string, leaver *peer) {
	lock.Lock()
	defer lock.Unlock()
	var rest []*peer
	for _, other := range rooms[code] {
		if other != leaver {
			rest = append(rest, other)
		}
	}
	if len(rest) == 0 {
		delete(rooms, code)
	} else {
		rooms[code] = rest
	}
}

func others(code string, sender *peer) []*peer {
	lock.Lock()
	defer lock.Unlock()
	var found []*peer
	for _, other := range rooms[code] {
		if other != sender {
			found = append(found, other)
		}
	}
	return found
}

var upgrader = websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}

func serve(response http.ResponseWriter, request *http.Request) {
	socket, err := upgrader.Upgrade(response, request, nil)
	if err != nil {
		return
	}
	defer socket.Close()
	own := &peer{socket: socket}
	code := ""
	for {
		_, text, err := socket.ReadMessage()
		if err != nil {
			break
		}
		var parsed message
		if json.Unmarshal(text, &parsed) != nil {
			continue
		}
		switch parsed.Type {
		case "join":
			if code != "" {
				continue
			}
			members := join(parsed.SessionCode, own)
			if members == nil {
				return
			}
			code = parsed.SessionCode
			if len(members) == 2 {
				for _, member := range members {
					member.send([]byte(`{"type":"ready"}`))
				}
			}
		case "offer", "answer", "ice-candidate":
			for _, other := range others(code, own) {
				other.send(text)
			}
		}
	}
	if code != "" {
		leave(code, own)
	}
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(serve)}
	certificate, key := os.Getenv("TLS_CERT"), os.Getenv("TLS_KEY")
	if certificate == "" {
		fmt.Printf("listening on http://%s\n", listener.Addr())
		panic(server.Serve(listener))
	}
	fmt.Printf("listening on https://%s\n", listener.Addr())
	panic(server.ServeTLS(listener, certificate, key))
}
